"""A job of many small pages and lines that takes no recognizer: engines to be combined."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

_PAGE = """<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<Page imageFilename="{0}.jpg" imageWidth="90" imageHeight="90"><TextRegion id="r">
<Coords points="0,0 90,0 90,90"/>{1}</TextRegion></Page></PcGts>"""
_LINE = """<TextLine id="l{0}"><Coords points="0,0 80,0 80,9"/><Baseline points="0,8 80,8"/>
<TextEquiv><Unicode>{1}</Unicode></TextEquiv></TextLine>"""


@pytest.fixture
def job(
    tmp_path: Path, votes_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int, int], list[str]]:
    """``job(pages, others)``: the words of a ``combine`` of two engines, one with XML of ``pages``
    of two lines each, one with rows of these and of ``others`` that are on no page."""
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(votes_home))

    def make(pages: int, others: int) -> list[str]:
        rows = [{"id": f"x{i}", "text": f"ligne {i} du registre"} for i in range(others)]
        folder = tmp_path / "one"
        folder.mkdir(exist_ok=True)
        for page in range(pages):
            stem = f"p{page:04}"
            texts = [f"le {page} du mois", f"acte {page * 7}"]
            lines = "".join(_LINE.format(i, text) for i, text in enumerate(texts))
            (folder / f"{stem}.xml").write_text(_PAGE.format(stem, lines))
            for i, text in enumerate(texts):
                rows.append({"id": f"l{i}", "page": stem, "text": text.replace("m", "rn")})
        (tmp_path / "two.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        engines = [f"two={tmp_path / 'two.jsonl'}"] + ([f"one={folder}"] if pages else [])
        words = [word for engine in engines for word in ("--engine", engine)]
        formats = "page,txt" if pages else "txt,jsonl"
        return ["combine", *words, "--no-lm", "--format", formats]

    return make
