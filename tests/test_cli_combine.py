"""``ensemble-htr combine`` from end to end: any engines, with and without images."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def shelf(votes_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(votes_home))


@pytest.fixture
def engines(tmp_path: Path) -> list[str]:
    """Three engines that each lack something; two of three are right about every character."""
    (tmp_path / "x.tsv").write_text("a\tle premier jour\nb\tdu mois de Mai\nc\til est dit\n")
    (tmp_path / "y.tsv").write_text("b\tdu mois de mai\na\tle prernier jour\nd\tseul ici\n")
    rows = [
        {"id": "a", "text": "le premier jonr", "confidences": [0.9] * 15, "doc": "D",
         "nbest": [{"text": "le premier jonr", "score": -1.0}, {"text": "le", "score": -9}]},
        {"id": "b", "text": "dn mois de mai", "page": "P"},
    ]  # fmt: skip
    (tmp_path / "z.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = {"x": "x.tsv", "y": "y.tsv", "z": "z.jsonl"}
    return [w for name, file in files.items() for w in ("--engine", f"{name}={tmp_path / file}")]


def rows_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.usefixtures("shelf")
def test_rows_of_any_engine_are_kept_and_judged(
    here: Run, engines: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, shown, talk = here("combine", *engines, "-o", out, "--no-lm", "--explain", "a")
    assert code == 0, talk
    names = [".ensemble-htr", "combined.jsonl", "combined.txt", "matching.json", "review.csv"]
    assert sorted(p.name for p in out.iterdir()) == names
    rows = rows_of(out / "combined.jsonl")
    assert [row["id"] for row in rows] == ["a", "b", "c", "d"]
    assert [row["page"] for row in rows] == ["", "P", "", ""]
    texts = [row["text"] for row in rows]
    assert texts == ["le premier jour", "du mois de mai", "il est dit", "seul ici"]
    assert (out / "combined.txt").read_text().splitlines() == texts
    for row in rows:
        assert set(row) == {"id", "page", "doc", "text", "confidence", "words", "chars"}
        assert "".join(char["text"] for char in row["chars"]) == row["text"]  # type: ignore
        assert all(0 <= c["confidence"] <= 1 for c in row["chars"] + row["words"])  # type: ignore
    assert "engine z: 2 of 4 lines are missing" in talk and "4 lines done" in talk
    assert shown.startswith("a  (") and "prernier" in shown

    assert "> r " in shown and "x, z 0.90" in shown and "y; " not in shown
    said = json.loads((out / "matching.json").read_text())
    assert said["lines"] == 4 and [e["lines"] for e in said["engines"]] == [3, 3, 2]
    assert [e["matched"]["id"] for e in said["engines"]] == [0, 2, 2]
    assert said["engines"][1]["examples"] == ["d"]

    back = here("combine", "--engine", f"w={out / 'combined.jsonl'}", "-o", "-", "--no-lm")
    assert back[0] == 0 and back[1].splitlines() == texts


@pytest.mark.usefixtures("shelf")
def test_an_engine_that_read_another_line_is_told(here: Run, tmp_path: Path) -> None:
    same, other = "Monsieur le maire de la ville de Paris", "quatorze francs cinquante centimes"
    for name, text in (("x", same), ("y", same.replace("v", "u")), ("z", other)):
        (tmp_path / f"{name}.tsv").write_text(f"a\t{text}\nb\tle roi\n")
    words = [w for n in "xyz" for w in ("--engine", f"{n}={tmp_path / n}.tsv")]
    out = tmp_path / "out"
    code, shown, talk = here("combine", *words, "--no-lm", "-o", out, "--explain", "a")
    assert code == 0 and "engine z: left out of 1 line where" in talk and "(a)" in talk
    one, two = rows_of(out / "combined.jsonl")
    assert one["text"] == same and one["quarantined"] == {"z": other}
    assert "quarantined" not in two
    assert f"{other}   (left out: another line)" in shown


@pytest.mark.usefixtures("shelf")
def test_the_lm_speaks_only_where_it_knows_the_language(here: Run, tmp_path: Path) -> None:
    texts = {"used": "le dix du mois de janvier mil huit cent", "not used": "XQ7ZZK WQQ//JXX 0KKZQ"}
    for verdict, text in texts.items():
        (tmp_path / "e.tsv").write_text(f"a\t{text}\n")
        code, shown, talk = here("combine", "--engine", f"e={tmp_path / 'e.tsv'}", "-o", "-")
        assert code == 0 and shown.strip() == text
        assert sum(f"language model: {verdict}" in line for line in talk.splitlines()) == 1


@pytest.mark.usefixtures("shelf")
def test_pages_come_back_as_copies_of_the_first_engines(
    here: Run, small_page: Make, tmp_path: Path
) -> None:
    one = small_page("p", 1, ("le jour", "du mois"), "one")
    two = small_page("p", 1, ("le jour", "dv mois"), "two")
    rows = [
        {"id": "l02", "page": "p", "text": "lc jour"},
        {"id": "l03", "page": "p", "text": "du mois"},
        {"id": "q", "page": "elsewhere", "text": "fin"},
    ]
    (tmp_path / "e.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["combine", "--engine", f"one={one.parent}", "--engine", f"two={two.parent}"]
    words += ["--engine", f"three={tmp_path / 'e.jsonl'}", "--no-lm", "-o", str(tmp_path / "out")]
    code, _, talk = here(*words, "--format", "page,jsonl")
    assert code == 0 and "1 lines are on no page" in talk, talk
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == [
        ".ensemble-htr", "combined.jsonl", "matching.json", "p.jsonl", "p.xml", "review.csv",
    ]  # fmt: skip
    assert [row["text"] for row in rows_of(out / "p.jsonl")] == ["le jour", "du mois"]
    assert [row["id"] for row in rows_of(out / "combined.jsonl")] == ["q"]
    tree = etree.parse(out / "p.xml")
    assert [e.text for e in tree.iter("{*}Unicode")] == ["le jour", "du mois"]
    assert [e.get("id") for e in tree.iter("{*}TextLine")] == ["l02", "l03"]

    assert "1 skipped" in here(*words, "--format", "page,jsonl")[2]
    two.write_text(two.read_text().replace("dv mois", "ou mois"))
    assert "0 skipped" not in (talk := here(*words, "--format", "page,jsonl")[2])
    assert "skipped" not in talk
    assert here(*words)[0] == 0 and (out / "p.txt").read_text() == "le jour\ndu mois\n"


@pytest.mark.usefixtures("shelf")
def test_lines_that_have_found_their_page_are_nowhere_else(
    here: Run, small_page: Make, tmp_path: Path
) -> None:
    page, rows = small_page("p", 1, ("le jour", "du mois"), "one"), tmp_path / "e.tsv"
    out = tmp_path / "out"
    words = ("combine", "--engine", f"one={page.parent}", "--engine", f"two={rows}", "--no-lm")
    rows.write_text("ghost\tquelque chose que personne ne lit\n")
    assert here(*words, "-o", out)[0] == 0
    assert (out / "combined.txt").exists() and "ghost" in (out / "review.csv").read_text()
    rows.write_text("l02\tle jour\n")
    code, _, talk = here(*words, "-o", out)
    assert code == 0 and "combined.txt: removed, every line is on a page now" in talk, talk
    assert not list(out.glob("combined.*")) and "ghost" not in (out / "review.csv").read_text()
    code, _, talk = here(*words, "-o", out)
    assert code == 0 and "removed" not in talk and "1 skipped" in talk


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--format", "page"), 2, "no engine has page XML"),
        (("--engine", "x={}/y.tsv"), 2, "two engines are called 'x'"),
        (("--engine", "a#b={}/y.tsv"), 2, "cannot hold '#'"),
        (("--engine", "{}/y.tsv"), 2, "wanted NAME=PATH"),
        (("--engine", "w={}/nowhere"), 1, "no such file"),
        (("--recognizers", "crnn"), 2, "with --images DIR"),
        (("--explain", "zz"), 1, "no engine has a line 'zz'"),
        (("-o", "{}"), 0, ""),
        (("-o", "{}/x.tsv"), 1, "it is a file, wanted a folder"),
        (("--combiner", "{}/x.tsv"), 1, "x.tsv"),
        (("--model", "nosuch"), 2, "no model called 'nosuch'"),
        (("--lexicon", "{}/x.tsv"), 2, "leave out --no-lm or --lexicon"),
    ],
)
@pytest.mark.usefixtures("shelf")
def test_one_line_for_wrong_usage(
    options: tuple[str, ...], status: int, message: str, here: Run, engines: list[str],
    tmp_path: Path,
) -> None:  # fmt: skip
    words = ["combine", *engines, "-o", tmp_path / "out", "--no-lm"]
    code, shown, talk = here(*words, *(o.format(tmp_path) for o in options))
    assert code == status and shown == "" and "Traceback" not in talk
    said = [line for line in talk.splitlines() if line.startswith("ensemble-htr: error: ")]
    assert len(said) == (status > 0) and message in "".join(said)


@pytest.mark.usefixtures("shelf")
def test_an_input_is_never_overwritten(here: Run, tmp_path: Path) -> None:
    path = tmp_path / "combined.jsonl"
    path.write_text('{"id": "a", "text": "b"}\n')
    code, _, talk = here("combine", "--engine", f"x={path}", "-o", tmp_path, "--no-lm")
    assert code == 1 and "would be overwritten" in talk
    assert path.read_text() == '{"id": "a", "text": "b"}\n'


@pytest.mark.usefixtures("shelf")
def test_nor_is_one_that_is_called_as_a_page(here: Run, small_page: Make, tmp_path: Path) -> None:
    one = small_page("p", 1, ("le jour", "du mois"), "one")
    images = small_page("p", 1, ("by", "hand"), "images")
    (tmp_path / "p.txt").write_text("lc jour\ndu mois\n")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    deep = tmp_path / "deep" / "er" / "combined.jsonl"
    deep.write_text('{"id": "a", "text": "b"}\n')
    before = images.read_bytes()
    words = ("combine", "--engine", f"one={one.parent}", "--no-lm", "-o")
    for more in (
        (images.parent, "--images", images.parent),
        (tmp_path, "--engine", f"two={tmp_path / 'p.txt'}"),
        (deep.parent, "--engine", f"two={tmp_path / 'deep'}"),
    ):
        code, _, talk = here(*words, *more)
        assert code == 1 and "overwritten; choose another" in talk, talk
    assert images.read_bytes() == before
    assert (tmp_path / "p.txt").read_text().startswith("lc jour")
    assert deep.read_text() == '{"id": "a", "text": "b"}\n'


@pytest.mark.usefixtures("shelf")
def test_what_a_run_wrote_is_no_input_of_the_next(here: Run, tmp_path: Path) -> None:
    (tmp_path / "x" / "deep").mkdir(parents=True)
    (tmp_path / "x" / "deep" / "e.jsonl").write_text('{"id": "a", "text": "b"}\n')
    words = ("combine", "--engine", f"x={tmp_path / 'x'}", "-o", tmp_path / "x" / "a", "--no-lm")
    assert here(*words, "--format", "txt")[0] == 0
    code, _, talk = here(*words, "--format", "jsonl")
    assert code == 0 and "1 line done" in talk, talk
    assert [row["id"] for row in rows_of(tmp_path / "x" / "a" / "combined.jsonl")] == ["a"]
    code, _, talk = here(*words)
    assert code == 0 and "1 line done" in talk, talk


def test_the_post_processor_loads_neither_torch_nor_opencv(
    votes_home: Path, engines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(votes_home))
    code = (
        "import sys\n"
        "from ensemble_htr.cli.main import cli\n"
        f"cli.main(['combine', *{engines!r}, '-o', '-'], standalone_mode=False)\n"
        "print([m for m in ('torch', 'cv2', 'safetensors') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stdout.endswith("[]\n"), done.stderr


def test_our_recognizers_join_where_there_are_images(
    here: Run, small_page: Make, tmp_path: Path, tiny_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))
    page = small_page("p", 1, ("le jour", "du mois"))
    words = ["combine", "--engine", f"one={page}", "--model", "tiny", "--no-lm", "--jobs", "1"]
    words += ["--images", str(page.parent), "-o", str(tmp_path / "out"), "--explain", "l02"]
    code, shown, talk = here(*words)
    assert code == 0 and "crnn-b" in shown, talk
    (tmp_path / "e.tsv").write_text("l03\tdu mois\nghost\trien\n")
    words[2] = f"one={tmp_path / 'e.tsv'}"
    code, shown, talk = here(*words[:-4], "-o", "-", "--format", "jsonl")
    assert code == 0 and [json.loads(r)["id"] for r in shown.splitlines()] == ["l03", "ghost"]
    assert "2 lines have no image in --images" in talk  # TSV rows name no page
    rows = [{"id": name, "page": "p", "text": "du mois"} for name in ("l03", "other")]
    (tmp_path / "e.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words[2] = f"one={tmp_path / 'e.jsonl'}"
    code, shown, talk = here(*words[:-4], "-o", "-", "--format", "jsonl")
    assert code == 0 and [json.loads(r)["id"] for r in shown.splitlines()] == ["l03", "other"]
    assert "1 of 2 lines of page 'p' are not among the lines" in talk and "'other'" in talk


def test_line_images_are_read_many_at_a_time(
    here: Run, tmp_path: Path, tiny_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the results of each alone; one that cannot be read costs its line only the image."""
    import numpy as np
    from PIL import Image

    from ensemble_htr.pipeline import Pipeline

    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))
    images = tmp_path / "lines"
    images.mkdir()
    draw = np.random.default_rng(1)
    for i in range(5):
        ink = np.where(draw.random((40, 200 + 40 * i)) < 0.1, 0, 255)
        Image.fromarray(ink.astype(np.uint8)).save(images / f"n{i}.png")
    (images / "n3.png").write_bytes((images / "n3.png").read_bytes()[:60])
    (tmp_path / "e.tsv").write_text("".join(f"n{i}\tligne {i}\n" for i in range(6)))
    (tmp_path / "one.tsv").write_text("n1\tligne 1\n")
    sizes, read = [], Pipeline.combine_with_images
    monkeypatch.setattr(
        Pipeline, "combine_with_images",
        lambda self, lines, *rest: sizes.append(len(lines)) or read(self, lines, *rest),
    )  # fmt: skip

    def rows(name: str) -> tuple[dict[str, object], str]:
        words = ["--engine", f"e={tmp_path / name}", "--model", "tiny", "--no-lm", "--jobs", "1"]
        words += ["--images", str(images), "-o", "-", "--format", "jsonl"]
        code, shown, talk = here("combine", *words)
        assert code == 0, talk
        return {row["id"]: row for row in map(json.loads, shown.splitlines())}, talk

    found, talk = rows("e.tsv")
    assert list(found) == [f"n{i}" for i in range(6)] and sizes == [4]
    assert "n3.png" in talk and "combined without it" in talk
    (alone,) = rows("one.tsv")[0].values()
    assert alone["text"] == found["n1"]["text"]
    assert alone["confidence"] == pytest.approx(found["n1"]["confidence"], abs=1e-3)


@pytest.mark.slow
@pytest.mark.usefixtures("shelf")
def test_processes_do_what_one_does(here: Run, tmp_path: Path) -> None:
    rows = [f"n{i}\tle {'jour' * (i % 5)} {i}\n" for i in range(150)]
    (tmp_path / "a.tsv").write_text("".join(rows))
    (tmp_path / "b.tsv").write_text("".join(r.replace("jour", "iour", 1) for r in rows[::-1]))
    shown = []
    for jobs in (1, 2):
        words = ("--engine", f"a={tmp_path / 'a.tsv'}", "--engine", f"b={tmp_path / 'b.tsv'}")
        code, out, _ = here(
            "combine", *words, "-o", "-", "--format", "jsonl", "--no-lm", "--jobs", jobs
        )
        assert code == 0
        shown.append(out)
    assert shown[0] == shown[1] and shown[0].count("\n") == 150


def test_confidences_are_natural_logarithms() -> None:
    from ensemble_htr.batch import Engine, merge
    from ensemble_htr.io.records import Record

    record = Record("a", "u\u200bn  é", confidences=(0.5, 0.1, 0.25, 1.0, 0.75, 0.0))
    with merge([Engine("e", Path("e"), (record,), {})]) as lines:
        ((row,),) = [line.rows for line in lines]
    assert row.tokens == ("u", "n", " ", "é") and row.logprobs is not None
    assert row.logprobs == pytest.approx((math.log(0.5), math.log(0.25), math.log(0.75), -20.0))


@pytest.mark.usefixtures("shelf")
def test_a_page_may_not_have_the_name_of_the_lines_on_no_page(
    here: Run, small_page: Make, tmp_path: Path
) -> None:
    one = small_page("Combined", 1, ("le jour", "du mois"), "one")
    (tmp_path / "e.tsv").write_text("q\tfin\n")
    words = ["combine", "--engine", f"one={one.parent}", "--no-lm", "-o", str(tmp_path / "out")]
    code, _, talk = here(*words, "--engine", f"two={tmp_path / 'e.tsv'}")
    assert code != 0 and f"{one}: a page of this name" in talk, talk
    assert not list((tmp_path / "out").glob("[Cc]ombined*"))
    assert here(*words)[0] == 0, "every line is on the page"
