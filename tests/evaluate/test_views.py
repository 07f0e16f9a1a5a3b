"""The JSON of the contract, the table and the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ensemble_htr.cli.evaluate import evaluate as command
from ensemble_htr.errors import InputError, OutputError, UsageError
from ensemble_htr.evaluate import evaluate, score_records, to_json, to_text
from ensemble_htr.io.records import Record
from ensemble_htr.text import profile


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path, Path]:
    truth = tmp_path / "truth.jsonl"
    truth.write_text(
        '{"id": "1", "doc": "sand", "text": "Le roy \\u00e9lu"}\n'
        '{"id": "2", "doc": "wills", "text": "12 mars"}\n'
        '{"id": "3", "doc": "wills", "text": "1418"}\n',
        encoding="utf-8",
    )
    good = tmp_path / "good.tsv"
    good.write_text("1\tLe roy e\u0301lu\n2\t12 mars\n3\t1419\n", encoding="utf-8")
    bad = tmp_path / "bad.jsonl"
    bad.write_text(
        '{"id": "1", "text": "Le roi", "confidences": [1, 1, 1, 1, 1, 0.5]}\n'
        '{"id": "2", "text": "12 mars", "confidence": 0.75}\n',
        encoding="utf-8",
    )
    return truth, good, bad


def test_json_of_the_contract(places: tuple[Path, Path, Path]) -> None:
    truth, good, bad = places
    report = to_json(evaluate(truth, [good, ("B", bad)]))
    assert (report["schema"], report["profile"], report["scope"]) == (1, "fr-archive", "all")
    assert [s["name"] for s in report["systems"]] == ["good", "B"]
    first, second = report["systems"]
    assert first["cer"]["value"] == 1 / 21
    assert first["wer"]["value"] == 1 / 6
    assert second["cer"]["value"] == (1 + 4 + 4) / 21
    for system in report["systems"]:
        for part in (
            system,
            system["letters"],
            system["no_letters"],
            *system["documents"].values(),
        ):
            for rate in ("cer", "wer"):
                assert set(part[rate]) == {"value", "low", "high"}
                assert part[rate]["low"] <= part[rate]["value"] <= part[rate]["high"]
    assert set(first["documents"]) == {"sand", "wills"}
    assert (first["letters"]["cer"]["value"], first["no_letters"]["cer"]["value"]) == (0.0, 0.25)
    assert (first["difference"], second["difference"]["to"]) == (None, "good")
    assert second["difference"]["cer"]["value"] == pytest.approx(8 / 21)
    assert (second["missing_lines"], second["extra_lines"]) == (1, 0)
    assert first["calibration"] == {"characters": None, "lines": None}
    assert second["calibration"]["characters"]["count"] == 6
    assert second["calibration"]["lines"]["auroc"] is None  # every line with a confidence is right
    json.dumps(report, allow_nan=False)


def test_the_table_names_its_terms(places: tuple[Path, Path, Path]) -> None:
    truth, good, bad = places
    report = evaluate(truth, [good, ("a-very-long-name-" * 4, bad)])
    text = to_text(report, per_document=True)
    for term in ("fr-archive: NFC", "21 characters", "6 words", "95%, over 2 documents"):
        assert term in text
    for term in ("4.76", "wills", "minus good", "phi", "ECE character", "3 lines scored"):
        assert term in text
    table = text[text.index("per cent") :]
    assert max(map(len, table.splitlines())) < 200
    assert "wills" not in to_text(report)


def test_rates_of_no_line_are_no_rates() -> None:
    truth, read = ([Record(str(i), t) for i, t in enumerate(x)] for x in (("12", "3"), ("12", "4")))
    report = score_records(truth, {"a": truth, "b": read}, profile("nfc"))
    table = [line.split() for line in to_text(report).splitlines() if line.startswith("b ")]
    assert table[0][7] == table[1][7] == "-"


def test_the_command(places: tuple[Path, Path, Path], tmp_path: Path) -> None:
    truth, good, bad = map(str, places)
    out = tmp_path / "new" / "figures.json"
    run = CliRunner().invoke(
        command, [truth, good, f"B={bad}", "--json", str(out), "--per-document"]
    )
    assert run.exit_code == 0, run.output
    assert "B: 1 line of 3 missing, scored as empty: 3" in run.stderr
    assert run.stdout.startswith("profile       fr-archive")
    assert "wills" in run.stdout
    assert json.loads(out.read_text(encoding="utf-8")) == to_json(
        evaluate(places[0], [places[1], ("B", places[2])])
    )


def test_json_to_stdout_is_nothing_but_json(places: tuple[Path, Path, Path]) -> None:
    truth, good, bad = map(str, places)
    run = CliRunner().invoke(command, [truth, good, bad, "--json", "-", "--letters"])
    assert json.loads(run.stdout)["scope"] == "letters"


def test_bad_calls_say_what_is_wrong(places: tuple[Path, Path, Path]) -> None:
    truth, good, _ = map(str, places)
    for arguments, kind in (
        ([truth, "nowhere"], InputError),
        ([truth, good, "--profile", "x"], UsageError),
        ([truth, good, good], UsageError),
    ):
        run = CliRunner().invoke(command, arguments)
        assert isinstance(run.exception, kind)
        assert "\n" not in str(run.exception)
    assert CliRunner().invoke(command, [truth]).exit_code == 2


def test_no_output_takes_the_place_of_an_input_or_of_another(
    places: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    truth, good, _ = map(str, places)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    new, again = str(tmp_path / "new.txt"), str(tmp_path / "." / "new.txt")
    linked = tmp_path / "linked"
    linked.symlink_to(places[0])
    for arguments, kind, said in (
        (["--json", truth], OutputError, "is an input and would be overwritten; give --json"),
        (["--tsv", good], OutputError, "is an input"),
        (["--report", str(linked)], OutputError, "is an input"),
        (["--json", new, "--report", again], UsageError, "--json and --report both write to"),
        (["--json", "-", "--tsv", "-"], UsageError, "--json and --tsv both write to '-'"),
        (["--json", new, "--report", str(tmp_path)], OutputError, "is a folder; --report wants"),
    ):
        run = CliRunner().invoke(command, [truth, good, *arguments])
        assert isinstance(run.exception, kind) and said in str(run.exception)
        assert run.stdout == ""
    linked.unlink()
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_no_option_is_dropped_without_a_word(
    places: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    truth, good, _ = map(str, places)
    mine = [tmp_path / "one.toml", tmp_path / "two.toml"]
    for path in mine:
        path.write_text('name = "mine"\n')
    both = [word for path in mine for word in ("--profile", str(path))]
    for arguments, said in (
        ([truth, good, "--language", "fr-archive", "--profile", "nfc"], "--language and --profile"),
        ([truth, good, *both], "two profiles are called 'mine'"),
        ([truth, good, "--engines", ","], "--engines names nothing"),
        ([truth, "a="], "'a=' names no file or folder"),
        ([truth, ""], "'' names no file or folder"),
        (["", good], "'' names no file or folder"),
    ):
        run = CliRunner().invoke(command, arguments)
        assert isinstance(run.exception, UsageError) and said in str(run.exception)


def test_a_terminal_is_never_told_what_to_do(tmp_path: Path) -> None:
    truth = tmp_path / "t.jsonl"
    truth.write_text(
        '{"id": "1\\u001b[2J", "doc": "d\\u001b[2J", "text": "a\\u200bb"}\n{"id": "2", "text": "c"}'
    )
    read = tmp_path / "r.jsonl"
    read.write_text('{"id": "2", "text": "\\u202ed\\u001b"}')
    run = CliRunner().invoke(
        command, [*map(str, (truth, read)), "--profile", "nfc", "--per-document"]
    )
    assert run.exit_code == 0, run.output
    for shown in (run.stdout, run.stderr):
        assert all(c.isprintable() or c == "\n" for c in shown)
    assert "\\x1b[2J" in run.stdout and "\\x1b[2J" in run.stderr
