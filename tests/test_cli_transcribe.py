"""``ensemble-htr transcribe`` from end to end with real, very small recognizers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def shelf(tiny_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))


def read(run: Run, *arguments: object, lm: bool = False) -> tuple[int, str, str]:
    options = ["--model", "tiny", "--jobs", 1] + ["--no-lm"] * (not lm)
    return run("transcribe", *arguments, *options)


def errors(shown: str) -> list[str]:
    assert "Traceback" not in shown
    return [line for line in shown.splitlines() if line.startswith("ensemble-htr: error: ")]


def test_a_page_comes_out_in_every_format_and_once(
    here: Run, small_page: Make, tmp_path: Path
) -> None:
    page, out = small_page("p1"), tmp_path / "out"
    before = page.read_bytes()
    arguments = (page.parent, "-o", out, "--format", "page,alto,txt,jsonl", "--explain", "l02")
    code, shown, talk = read(here, *arguments)
    assert code == 0, talk
    assert {p.name for p in out.iterdir()} == {
        ".ensemble-htr", "p1.xml", "p1.alto.xml", "p1.txt", "p1.jsonl", "review.csv",
    }  # fmt: skip
    rows = [json.loads(line) for line in (out / "p1.jsonl").read_text().splitlines()]
    assert [(row["page"], row["id"], row["doc"]) for row in rows] == [
        ("p1", "l02", "pages"), ("p1", "l03", "pages"),
    ]  # fmt: skip
    assert (out / "p1.txt").read_text().splitlines() == [row["text"] for row in rows]
    assert shown.startswith("p1 l02  (") and "1 page done (2 lines" in talk
    assert page.read_bytes() == before

    stamps = {p: p.stat().st_mtime_ns for p in out.glob("p1.*")}
    code, _, talk = read(here, *arguments[:-2])
    assert code == 0 and "0 pages done" in talk and "1 skipped" in talk
    assert {p: p.stat().st_mtime_ns for p in out.glob("p1.*")} == stamps

    (out / "p1.txt").unlink()  # a finished page with a file missing is not finished
    assert "1 page done" in read(here, *arguments[:-2])[2]
    assert (out / "p1.txt").exists()

    page.write_bytes(before.replace(b'id="l03"', b'id="other"'))
    assert "1 page done" in read(here, *arguments[:-2])[2]
    assert "other" in (out / "p1.jsonl").read_text()
    assert "1 page done" in read(here, *arguments[:-2], lm=True)[2]
    (out / ".ensemble-htr" / "journal.sqlite").write_bytes(b"no database at all" * 100)
    code, _, talk = read(here, *arguments[:-2])
    assert code == 0 and "damaged" in talk and "1 page done" in talk


def test_one_bad_page_does_not_stop_the_others(here: Run, small_page: Make, tmp_path: Path) -> None:
    good = small_page("good")
    pages = good.parent
    for name in ("empty", "truncated", "doctype", "imageless", "broken"):
        small_page(name)
    (pages / "empty.jpg").write_bytes(b"")
    (pages / "truncated.jpg").write_bytes((pages / "good.jpg").read_bytes()[:5000])
    (pages / "imageless.jpg").unlink()
    (pages / "doctype.xml").write_text('<!DOCTYPE x [<!ENTITY a "b">]>' + good.read_text())
    (pages / "broken.xml").write_text(good.read_text()[:400])
    out = tmp_path / "out"
    code, shown, talk = read(here, pages, tmp_path / "nowhere", "-o", out)
    assert code == 1 and shown == ""
    said = errors(talk)
    assert len(said) == 6
    for name in ("empty.jpg", "truncated.jpg", "doctype.xml", "imageless.xml", "broken.xml"):
        assert sum(name in line for line in said) == 1, name
    assert "6 FAILED" in talk.splitlines()[-1]
    written = {".ensemble-htr", "good.xml", "good.txt", "review.csv"}
    assert {p.name for p in out.iterdir()} == written


def test_line_images_and_the_stream(here: Run, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.mkdir()
    for i in range(5):
        Image.new("L", (90 + 10 * i, 40), 255).save(lines / f"x{i}.png")
    (lines / "x2.png").write_bytes(b"\x89PNG\r\n")
    code, shown, talk = read(here, lines, "-o", "-", "--format", "jsonl")
    assert code == 1 and len(errors(talk)) == 1 and "x2.png" in errors(talk)[0]
    assert [json.loads(row)["id"] for row in shown.splitlines()] == ["x0", "x1", "x3", "x4"]
    code, shown, _ = read(here, lines / "x0.png", "-o", "-")
    assert code == 0 and shown.count("\n") == 1


def test_what_images_are_decides_what_is_finished(here: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("L", (900, 400), 255).save(tmp_path / "in" / "x.png")
    words = (tmp_path / "in", "-o", tmp_path / "out", "--format", "txt", "--images")
    assert "1 page done" in read(here, *words, "lines")[2]
    assert "1 page done" in read(here, *words, "pages")[2]
    assert "1 skipped" in read(here, *words, "pages")[2]


@pytest.mark.parametrize("place", ["out", "reg1/page", "reg1/alto"])
def test_what_a_run_wrote_is_no_input_of_the_next(place: str, here: Run, tmp_path: Path) -> None:
    for name in ("reg1/x", "reg2/y"):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        Image.new("L", (200, 40), 255).save(tmp_path / "in" / f"{name}.png")
    words = (tmp_path / "in", "-o", tmp_path / "in" / place)
    assert "2 pages done" in read(here, *words)[2]
    code, _, talk = read(here, *words)
    assert code == 0 and "2 skipped" in talk, talk


def test_pages_of_somebody_else_in_the_output_folder_are_no_output(
    here: Run, small_page: Make, tmp_path: Path
) -> None:
    page = small_page("p")
    (tmp_path / "page").mkdir()
    page = page.rename(tmp_path / "page" / "p.xml")
    Image.new("L", (200, 40), 255).save(tmp_path / "p.png")
    before = page.read_bytes()
    for out in (tmp_path, page.parent):  # pages in its page/ are those of the folder itself
        code, _, talk = read(here, tmp_path, "-o", out)
        assert code == 1 and "inputs are never overwritten" in errors(talk)[0]
    assert page.read_bytes() == before and not (tmp_path / ".ensemble-htr").exists()


def test_shards_share_the_pages(here: Run, small_page: Make, tmp_path: Path) -> None:
    for stem in ("a", "b", "c"):
        folder = small_page(stem).parent
    done = []
    for shard in ("1/2", "2/2"):
        out = tmp_path / shard[0]
        assert read(here, folder, "-o", out, "--format", "txt", "--shard", shard)[0] == 0
        done.append(sorted(p.stem for p in out.glob("*.txt")))
    assert done == [["a", "c"], ["b"]]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("-o", "{}/out", "--format", "pgae"), 2, "did you mean 'page'"),
        (("-o", "-", "--format", "page"), 2, "wanted --format txt or jsonl"),
        (("-o", "{}/out", "--shard", "3/2"), 2, "wanted i/n"),
        (("-o", "{}/out", "--recognizers", "crn"), 2, "did you mean 'crnn'"),
        (("-o", "{}/pages/good.xml"), 1, "it is a file, wanted a folder"),
        (("-o", "{}/pages"), 1, "inputs are never overwritten"),
        (("-o", "/proc/nothing/here"), 1, "nothing can be written there"),
        (("-o", "{}/out", "--explain", "zz"), 1, "no line 'zz' was read"),
    ],
)
def test_one_line_for_wrong_usage(
    options: tuple[str, ...], status: int, message: str, here: Run, small_page: Make,
    tmp_path: Path,
) -> None:  # fmt: skip
    page = small_page("good")
    code, shown, talk = read(here, page, *(o.format(tmp_path) for o in options))
    assert code == status and shown == ""
    (said,) = errors(talk)
    assert message in said


def test_an_empty_folder(here: Run, tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    code, _, talk = read(here, tmp_path / "void", "-o", tmp_path / "out")
    assert code == 1 and "no pages in this folder" in errors(talk)[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "jobs"),
    [
        (b"", 1),
        (b"not weights", 1),
        (b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ", 1),  # safetensors of nothing
        (b"", 2),
    ],
)
def test_foreign_weights_are_one_line(
    content: bytes, jobs: int, here: Run, small_page: Make, tmp_path: Path, tiny_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from ensemble_htr.assets import write_lock

    home = tmp_path / "home" / "models"
    for name in ("tiny", "crnn-b"):
        (home / name).mkdir(parents=True)
        for file in (tiny_home / "models" / name).iterdir():
            (home / name / file.name).write_bytes(file.read_bytes())
    (home / "crnn").mkdir()
    (home / "crnn" / "model.safetensors").write_bytes(content)
    write_lock(home / "crnn", ["model.safetensors"])
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tmp_path / "home"))
    small_page("a")
    pages = small_page("b").parent
    options = ("-o", tmp_path / "o", "--model", "tiny", "--jobs", jobs)
    code, _, talk = here("transcribe", pages, *options)
    assert code == 1 and len(errors(talk)) == 1 and "model.safetensors" in errors(talk)[0]


@pytest.mark.slow
def test_processes_do_what_one_does(here: Run, small_page: Make, tmp_path: Path) -> None:
    for i, stem in enumerate("abc"):
        folder = small_page(stem, i).parent
    (folder / "b.jpg").write_bytes(b"")
    texts = []
    for jobs in (1, 2):
        out = tmp_path / str(jobs)
        code, _, talk = here(
            "transcribe", folder, "-o", out, "--format", "jsonl", "--model", "tiny", "--no-lm",
            "--jobs", jobs,
        )  # fmt: skip
        assert code == 1 and len(errors(talk)) == 1 and "b.jpg" in talk
        texts.append({p.name: p.read_bytes() for p in out.glob("*.jsonl")})
    assert texts[0] == texts[1] and set(texts[0]) == {"a.jsonl", "c.jsonl"}


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_keeps_finished_pages_and_resumes(
    jobs: int, here: Run, small_page: Make, tmp_path: Path
) -> None:
    for i in range(14):
        folder = small_page(f"p{i:02}").parent
    out = tmp_path / "out"
    words = [sys.executable, "-m", "ensemble_htr", "transcribe", folder, "-o", out]
    options: dict[str, Any] = {"cwd": ROOT, "stderr": subprocess.PIPE, "text": True}
    words += ["--model", "tiny", "--no-lm", "--format", "txt", "--jobs", str(jobs)]
    process = subprocess.Popen([str(w) for w in words], start_new_session=True, **options)
    try:
        limit = time.monotonic() + 300
        while len(list(out.glob("*.txt"))) < 2 and time.monotonic() < limit:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, talk = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130, talk
    assert "Traceback" not in talk and "interrupted; finished pages" in talk.splitlines()[-1]
    finished = list(out.glob("*.txt"))
    assert 2 <= len(finished) < 14 and all(p.read_text().count("\n") == 2 for p in finished)
    assert not list(out.glob(".*.tmp"))
    code, _, talk = here(*words[3:-1], 1)
    assert code == 0 and len(list(out.glob("*.txt"))) == 14
    skipped = int(talk.splitlines()[-1].split(" skipped")[0].split()[-1])
    assert len(finished) - 1 <= skipped <= len(finished)
