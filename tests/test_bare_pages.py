"""Pages that nobody has marked: cut by a segmenter, read, and written as a page of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("torch", reason="needs the extra [recognize]")
pytest.importorskip("cv2")

from ensemble_htr import registry  # noqa: E402
from ensemble_htr.assets import resolve  # noqa: E402
from ensemble_htr.io.images import read_image  # noqa: E402
from ensemble_htr.io.pages import read_page  # noqa: E402

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def page(tiny_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The lower end of the bundled letter without its XML."""
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))
    path = tmp_path / "pages" / "letter.png"
    path.parent.mkdir()
    with Image.open(resolve("sample", "letter") / "page.jpg") as image:
        image.crop((100, 860, 1400, 1290)).save(path)
    return path


def transcribe(run: Run, page: Path, out: Path, *options: object) -> tuple[int, str, str]:
    fixed = ("--images", "pages", "--model", "tiny", "--no-lm", "--jobs", 1)
    return run("transcribe", page, "-o", out, *fixed, *options)


def test_found_lines_are_written_with_the_page(here: Run, page: Path, tmp_path: Path) -> None:
    out, kept = tmp_path / "out", ("--cache", tmp_path / "cache")
    options = ("--format", "page,alto,txt", "--explain", "line_2", *kept)
    code, shown, talk = transcribe(here, page, out, *options)
    assert code == 0, talk
    assert shown.startswith("letter line_2  (")
    lines = registry.load("segmenters", "ink")().segment(read_image(page))
    assert 4 <= len(lines) <= 6
    for name in ("letter.page.xml", "letter.alto.xml"):
        written = read_page(out / name)
        assert (written.width, written.height) == (1300, 430)
        assert "letter.png" in (out / name).read_text()
        assert [line.id for line in written.lines] == [line.id for line in lines]
        for one, other in zip(written.lines, lines, strict=True):
            for ours, theirs in ((one.baseline, other.baseline), (one.polygon, other.polygon)):
                flat = [v for point in theirs for v in point]
                assert [v for point in ours for v in point] == pytest.approx(flat, abs=0.51)
    assert len((out / "letter.txt").read_text().splitlines()) == len(lines)
    first = (out / "letter.txt").read_bytes()
    code, shown, _ = transcribe(here, page, out, *options)  # found again, now among kept lines
    assert code == 0 and shown.startswith("letter line_2  (")
    assert (out / "letter.txt").read_bytes() == first


def test_a_page_without_text_is_said_and_written(here: Run, page: Path, tmp_path: Path) -> None:
    Image.new("L", (900, 1200), 240).save(page)
    code, _, talk = transcribe(here, page, tmp_path / "out", "--format", "page,alto,txt")
    assert code == 0 and "letter.png: no line of text was found" in talk
    assert read_page(tmp_path / "out" / "letter.page.xml").lines == ()
    assert (tmp_path / "out" / "letter.txt").read_text() == ""


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for kraken is a script")
def test_another_segmenter_and_one_that_is_not_there(
    here: Run, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "kraken"
    answer = '{"lines": [{"baseline": [[20, 60], [900, 60]], "boundary": null}]}'
    program.write_text(f"#!{sys.executable}\nimport sys\nopen(sys.argv[3], 'w').write('{answer}')")
    program.chmod(0o755)
    out = tmp_path / "out"
    monkeypatch.setenv("ENSEMBLE_HTR_KRAKEN", str(program))
    code, _, talk = transcribe(here, page, out, "--segmenter", "kraken", "--format", "page")
    assert code == 0, talk
    (line,) = read_page(out / "letter.page.xml").lines
    assert line.baseline == ((20.0, 60.0), (900.0, 60.0))

    monkeypatch.setenv("ENSEMBLE_HTR_KRAKEN", str(tmp_path / "nothing"))
    code, _, talk = transcribe(here, page, tmp_path / "other", "--segmenter", "kraken")
    assert code == 2 and "ENSEMBLE_HTR_KRAKEN" in talk and "Traceback" not in talk
    code, _, talk = transcribe(here, page, tmp_path / "other", "--segmenter", "krake")
    assert code == 2 and "did you mean 'kraken'" in talk
