"""A folder of bad pages around a good one, and the command line over it: the good page is written
whatever lies beside it, and each bad one is one line. One run serves all cases of a kind."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

NS = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
COORDS = '<Coords points="5,5 195,5 195,35 5,35"/><Baseline points="5,28 195,28"/>'
TINY = ("--format", "txt", "--model", "tiny", "--recognizers", "crnn", "--no-lm", "--jobs", "1")


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
    image.save(path, "PNG")


def good_page(folder: Path) -> Path:
    """The page ``good`` in ``folder`` (made if missing); returns the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "good.xml").write_text(page_xml("good"), encoding="utf-8")
    draw(folder / "good.png")
    return folder


class Verdict:
    """What came of a command: exit status, talk, complaints, seconds of the processor, OUT."""

    def __init__(self, words: Iterable[object], out: Path, home: Path) -> None:
        from ensemble_htr.cli.main import main

        talk, begun = io.StringIO(), time.process_time()
        notices = logging.StreamHandler(talk)
        log = logging.getLogger()  # as pytest's, which keeps our own from speaking
        log.addHandler(notices)
        self.shown = io.BytesIO()
        try:
            with pytest.MonkeyPatch.context() as patch, redirect_stderr(talk):
                patch.setenv("ENSEMBLE_HTR_HOME", str(home))
                with redirect_stdout(io.TextIOWrapper(self.shown, write_through=True)) as stdout:
                    with pytest.raises(SystemExit) as ended:
                        main([str(word) for word in words])
                    stdout.detach()
        finally:
            log.removeHandler(notices)
        self.code, self.out = int(ended.value.code or 0), out
        self.seconds = time.process_time() - begun
        self.talk = talk.getvalue()
        assert "Traceback" not in self.talk and "unexpected" not in self.talk, self.talk
        self.lines = self.talk.splitlines()
        self.complaints = [x for x in self.lines if x.startswith("ensemble-htr: error: ")]
        assert (self.code != 0) == bool(self.complaints), self.talk

    @property
    def written(self) -> set[str]:
        return {p.stem for p in self.out.glob("*.txt")} if self.out.is_dir() else set()

    def complaint(self, name: str, *words: str) -> None:
        """There is one complaint that names the file; it says ``words``, and its page is not there
        while the good one is."""
        (line,) = (line for line in self.complaints if name in line)
        assert len(line) < 800 and line.isprintable(), line
        assert all(word in line for word in words), line
        assert self.code == 1 and "good" in self.written
        assert Path(name).stem not in self.written


@pytest.fixture(scope="session")
def transcribe(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Verdict]:
    """``transcribe`` the inputs with a very small recognizer."""

    def run(*inputs: object, out: Path | None = None, options: Iterable[str] = ()) -> Verdict:
        place = tmp_path_factory.mktemp("out") if out is None else out
        return Verdict(["transcribe", *inputs, "-o", place, *TINY, *options], place, tiny_home)

    return run


@pytest.fixture(scope="session")
def verb(votes_home: Path) -> Callable[..., Verdict]:
    """Any command, with a shelf that has no recognizers; ``out`` is where it writes."""

    def run(*words: object, out: Path) -> Verdict:
        return Verdict(words, out, votes_home)

    return run
