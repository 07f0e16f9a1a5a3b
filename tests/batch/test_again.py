"""A finished job is left alone: no model is loaded, no file is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def loads(tiny_home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with every ensemble that is loaded, and every page that is read."""
    from ensemble_htr.io.sources import PageSource
    from ensemble_htr.pipeline import Pipeline

    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))
    seen: list[str] = []
    load, read = Pipeline.load, PageSource.read
    monkeypatch.setattr(Pipeline, "load", lambda *a: seen.append("load") or load(*a))
    monkeypatch.setattr(PageSource, "read", lambda *a: seen.append("read") or read(*a))
    return seen


def test_nothing_to_do_takes_nothing(
    here: Run, small_page: Callable[..., Path], loads: list[str], tmp_path: Path
) -> None:
    page = small_page("p1")
    for path in page.parent.iterdir():
        os.utime(path, (1e9, 1e9))  # at rest for long
    words = ["transcribe", page.parent, "-o", tmp_path / "out", "--model", "tiny", "--no-lm",
             "--format", "txt", "--jobs", 1]  # fmt: skip

    def again() -> tuple[str, list[str]]:
        loads.clear()
        code, _, talk = here(*words)
        assert code == 0
        return talk, list(loads)

    talk, done = again()
    assert "1 page done" in talk and done[0] == "load"
    talk, done = again()
    assert "1 skipped" in talk and done == []
    os.utime(page, (1e9, 1e9 + 5))  # touched: looked into once, then known
    assert again()[1] == ["read"] and again()[1] == []
    page.write_text(page.read_text().replace("l03", "other"))
    os.utime(page, (1e9, 1e9 + 9))
    talk, done = again()
    assert "1 page done" in talk and "load" in done
    words += ["--recognizers", "crnn"]
    assert "1 page done" in again()[0]


def test_a_finished_combination_reads_no_engine(
    job: Callable[[int, int], list[str]], here: Run, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    words = [*job(2, 70), "--jobs", 1, "-o", tmp_path / "out"]
    for path in (tmp_path / "two.jsonl", *(tmp_path / "one").iterdir()):
        os.utime(path, (1e9, 1e9))
    assert here(*words)[0] == 0
    with monkeypatch.context() as patched:
        patched.delattr("ensemble_htr.batch.merging.Merged.add")
        code, _, talk = here(*words)
    assert code == 0 and "2 skipped" in talk
    (tmp_path / "out" / "combined.txt").unlink()
    code, _, talk = here(*words)
    assert code == 0 and "2 skipped" in talk
    assert (tmp_path / "out" / "combined.txt").read_text().count("\n") == 70
    with open(tmp_path / "two.jsonl", "a") as file:
        file.write('{"id": "new", "text": "une ligne"}\n')
    os.utime(tmp_path / "two.jsonl", (1e9, 1e9))
    code, _, talk = here(*words)
    assert code == 0 and (tmp_path / "out" / "combined.txt").read_text().count("\n") == 71
