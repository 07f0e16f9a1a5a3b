"""Learning to judge foreign engines: never worse than what is there already."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.batch import MergedLine
from ensemble_htr.cli.main import cli
from ensemble_htr.combine import Judge
from ensemble_htr.combine.model import dump_judge, load_judge
from ensemble_htr.errors import InputError, OutputError
from ensemble_htr.pipeline import PipelineOptions
from ensemble_htr.train.foreign import TRUTH, FitReport, fit_engines
from ensemble_htr.types import Hypothesis

WORDS = "maison jardin le petit chat dort sous un arbre vert depuis hier soir".split()
SILENT = PipelineOptions(lm=False)


def lines(count: int, rates: Sequence[float], copies: int = 0) -> list[MergedLine]:
    """Engines that misread so many letters each, the last one ``copies`` times more."""
    draw = random.Random(1)

    def misread(text: str, rate: float) -> str:
        return "".join(draw.choice("aeimnu") if draw.random() < rate else c for c in text)

    found = []
    for i in range(count):
        truth = " ".join(draw.choices(WORDS, k=4))
        said = [misread(truth, rate) for rate in rates]
        said += said[-1:] * copies
        rows = [Hypothesis(f"e{k}", tuple(text)) for k, text in enumerate(said)]
        rows.append(Hypothesis(TRUTH, tuple(truth)))
        found.append(MergedLine(f"l{i}", "", f"d{i % 5}", tuple(rows)))
    return found


def rates(report: FitReport) -> dict[str, float]:
    return {row.name: row.cer for row in report.rows}


def test_a_good_engine_is_believed_against_copies_of_a_bad_one() -> None:
    model, report = fit_engines(lines(60, [0.03, 0.25], copies=2), SILENT)
    cer = rates(report)
    assert list(cer) == ["e0", "e1", "e2", "e3", "vote", "fitted"]
    assert cer["vote"] > cer["e0"] + 0.05
    assert min(cer["fitted"], cer["e0"]) == cer[report.kept] <= cer["e0"]
    judge = Judge(model)
    fresh = lines(20, [0.03, 0.25], copies=2)[10:]
    assert model.modes["text"].scorer is not None
    for line in fresh:
        rows = [h for h in line.rows if h.source != TRUTH]
        reading = judge.combine(SumOfPairsAligner().align(rows))
        assert all(0 <= c <= 1 for c in reading.confidences)


def test_lines_and_engines_may_be_missing() -> None:
    found = lines(40, [0.1, 0.1, 0.1])
    some = [
        MergedLine(x.id, x.page, x.doc, x.rows[i % 3 :] if i % 5 else x.rows[:1])
        for i, x in enumerate(found)
    ]
    model, report = fit_engines(some, SILENT)
    assert report.lines == 32 and report.documents == 4
    assert "32 lines of 4 documents" in str(report) and "kept: " in str(report)
    assert dump_judge(model)


def test_too_few_lines_are_said() -> None:
    with pytest.raises(InputError, match="only 5 lines .* wanted 20"):
        fit_engines(lines(5, [0.1]), SILENT)


def test_fitting_twice_gives_the_same() -> None:
    one, two = (fit_engines(lines(30, [0.1, 0.2]), SILENT)[0] for _ in range(2))
    assert dump_judge(one) == dump_judge(two)


@pytest.mark.parametrize("silent", [["--no-lm"], []], ids=["without lm", "with lm"])
def test_the_command_writes_a_file_that_combine_takes(tmp_path: Path, silent: list[str]) -> None:
    found = lines(30, [0.05, 0.2])
    for k, name in ((0, "a"), (2, "truth")):
        rows = ({"id": x.id, "doc": x.doc, "text": x.rows[k].text} for x in found)
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    plain = "".join(x.rows[1].text + "\n" for x in found)  # lines without ids
    (tmp_path / "b.txt").write_text(plain)
    engines = [f"--engine=a={tmp_path / 'a.jsonl'}", f"--engine=b={tmp_path / 'b.txt'}"]
    out = tmp_path / "fitted.json"
    truth = str(tmp_path / "truth.jsonl")
    done = CliRunner().invoke(cli, ["fit", truth, *engines, "-o", str(out), *silent])
    assert done.exit_code == 0 and done.stdout == "", done.output
    assert "vote" in done.stderr and "fitted" in done.stderr
    assert "engine b: lines matched without a common id: 30 by their order" in done.stderr
    assert set(load_judge(out).facts["engines"]) == {"a", "b"}
    done = CliRunner().invoke(
        cli, ["combine", *engines, "-o", "-", *silent, "--combiner", str(out)]
    )
    assert done.exit_code == 0 and len(done.stdout.splitlines()) == 30
    assert "not fitted with" not in done.stderr
    engines[1] = f"--engine=c={tmp_path / 'b.txt'}"
    done = CliRunner().invoke(
        cli, ["combine", *engines, "-o", "-", *silent, "--combiner", str(out)]
    )
    assert done.exit_code == 0
    assert "fitted.json: not fitted with c (its engines: a, b): such" in done.stderr


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("l1\tabc\n")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "p.xml").write_text("<PcGts")
    out = str(tmp_path / "out.json")
    for truth, engine in (("none.tsv", "a.tsv"), ("a.tsv", "pages"), ("a.tsv", "a.tsv")):
        command = ["fit", str(tmp_path / truth), f"--engine=e={tmp_path / engine}", "-o", out]
        done = CliRunner().invoke(cli, command)
        assert isinstance(done.exception, InputError), engine
        assert "\n" not in str(done.exception)
    assert not Path(out).exists()


def test_neither_an_input_nor_a_folder_is_overwritten(tmp_path: Path) -> None:
    rows = "".join(f"l{i}\tle jour {i}\n" for i in range(30))
    for name in ("a.tsv", "truth.tsv"):
        (tmp_path / name).write_text(rows)
    (tmp_path / "link.json").symlink_to(tmp_path / "truth.tsv")
    command = ["fit", str(tmp_path / "truth.tsv"), f"--engine=a={tmp_path / 'a.tsv'}", "--no-lm"]
    for out in ("truth.tsv", "a.tsv", "link.json", ""):
        done = CliRunner().invoke(cli, [*command, "-o", str(tmp_path / out)])
        assert isinstance(done.exception, OutputError)
        assert "weighing" not in done.stderr  # said before the work
    assert {(tmp_path / name).read_text() for name in ("a.tsv", "truth.tsv")} == {rows}


def test_a_dash_is_stdout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.tsv", "truth.tsv"):
        (tmp_path / name).write_text("".join(f"l{i}\tle jour {i}\n" for i in range(30)))
    command = ["fit", str(tmp_path / "truth.tsv"), f"--engine=a={tmp_path / 'a.tsv'}", "--no-lm"]
    assert CliRunner().invoke(cli, [*command, "-o", str(tmp_path / "fit.json")]).exit_code == 0
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, [*command, "-o", "-"])
    assert done.exit_code == 0 and not Path("-").exists()
    assert done.stdout == (tmp_path / "fit.json").read_text()


@pytest.mark.parametrize("count", [20, 31, 60])
def test_one_document_is_enough(count: int) -> None:
    """A plain file of lines names no documents."""
    found = [replace(line, doc="") for line in lines(count, [0.05, 0.2])]
    model, report = fit_engines(found, SILENT)
    assert (report.lines, report.documents) == (count, 1)
    assert model.modes["text"].scorer is not None


def test_lines_that_nobody_read_and_engines_that_are_never_wrong() -> None:
    found = lines(40, [0.0, 0.0])
    silent = [replace(line, id=f"s{line.id}", rows=tuple(
        h if h.source == TRUTH else replace(h, tokens=()) for h in line.rows))
        for line in lines(30, [0.1, 0.1])]  # fmt: skip
    _, report = fit_engines([*found, *silent], SILENT)
    assert report.lines == 40 and set(rates(report).values()) == {0.0}
    with pytest.raises(InputError, match="only 0 lines"):
        fit_engines(silent, SILENT)
