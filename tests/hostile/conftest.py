"""A folder with one good page, and the command line over it: whatever lies beside the good page,
it is written, and the bad one is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

Run = Callable[..., tuple[int, str, str]]
NS = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
COORDS = '<Coords points="5,5 195,5 195,35 5,35"/><Baseline points="5,28 195,28"/>'


def page_xml(stem: str, geometry: str = COORDS, text: str = "le père", lines: int = 1) -> str:
    """PAGE of ``lines`` lines of the same geometry."""
    each = "".join(
        f'<TextLine id="l{i}">{geometry}<TextEquiv><Unicode>{text}</Unicode></TextEquiv></TextLine>'
        for i in range(lines)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><PcGts xmlns="{NS}"><Page '
        f'imageFilename="{stem}.png" imageWidth="200" imageHeight="40"><TextRegion id="r">'
        f'<Coords points="0,0 200,0 200,40"/>{each}</TextRegion></Page></PcGts>'
    )


def draw(path: Path) -> None:
    """A page image of 200x40 pixels with something on it."""
    image = Image.new("L", (200, 40), 255)
    ImageDraw.Draw(image).text((10, 15), "le pere", fill=0)
    image.save(path)


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A folder with the page ``good``."""
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "good.xml").write_text(page_xml("good"), encoding="utf-8")
    draw(folder / "good.png")
    return folder


class Verdict:
    """What came of a run over the folder: exit status, complaints, talk, names in OUT."""

    def __init__(self, code: int, talk: str, out: Path) -> None:
        assert "Traceback" not in talk and "unexpected" not in talk, talk
        self.code, self.talk, self.out = code, talk, out
        self.complaints = [x for x in talk.splitlines() if x.startswith("ensemble-htr: error: ")]
        self.written = {p.name for p in out.glob("*.txt")} if out.is_dir() else set()

    def is_about(self, name: str, *words: str) -> None:
        """One page failed, in one line that names it and says ``words``; the good one is there."""
        assert self.code == 1 and len(self.complaints) == 1, self.talk
        (line,) = self.complaints
        assert name in line and len(line) < 800, line
        assert all(word in line for word in words), line
        assert self.written == {"good.txt"}, self.written


@pytest.fixture
def read(
    here: Run,
    tiny_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Callable[..., Verdict]:
    """``transcribe`` the inputs with a very small recognizer."""
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))

    def run(*inputs: object, out: Path | None = None, options: tuple[str, ...] = ()) -> Verdict:
        place = tmp_path / "out" if out is None else out
        words = ["--model", "tiny", "--recognizers", "crnn", "--no-lm", "--jobs", 1]
        code, _, talk = here(
            "transcribe", *inputs, "-o", place, "--format", "txt", *words, *options
        )
        talk += "".join(f"{message}\n" for message in caplog.messages)  # pytest takes these away
        caplog.clear()
        return Verdict(code, talk, place)

    return run
