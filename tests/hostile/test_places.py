"""Places that lead nowhere, take nothing, or end in the middle of a word."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import Verdict, draw, good_page, page_xml

Call = Callable[..., Verdict]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    text = "".join(json.dumps({"id": f"n{i}", "text": "le pere " * 9}) + "\n" for i in range(300))
    path.write_text(text)
    return path


# ---- where things are read from ---------------------------------------------------------------


def test_loops_of_links(tmp_path: Path, transcribe: Call, verb: Call) -> None:
    folder = good_page(tmp_path / "pages")
    (folder / "loop.xml").symlink_to(folder / "loop.xml")
    (folder / "there.png").symlink_to("back.png")
    (folder / "back.png").symlink_to("there.png")
    (folder / "page").symlink_to(folder)  # the folder within itself
    (folder / "nowhere.xml").symlink_to(tmp_path / "nothing")
    found = transcribe(folder)
    assert found.written == {"good"} and len(found.complaints) <= 2 and found.seconds < 10
    found = transcribe(folder / "loop.xml", folder / "good.xml")
    found.complaint("loop.xml")
    out = tmp_path / "out"
    found = verb("evaluate", folder / "loop.xml", folder / "good.xml", out=out)
    assert found.code == 1 and "loop.xml" in found.complaints[0]
    found = verb("combine", f"--engine=x={folder}", "-o", out, "--no-lm", "--jobs", 1, out=out)
    assert found.written >= {"good"} and found.seconds < 10


def test_a_folder_that_goes_down_for_ever(tmp_path: Path, transcribe: Call) -> None:
    deep = tmp_path / "deep"
    deep.mkdir()
    (deep / "again").symlink_to(deep)
    found = transcribe(deep)
    assert found.code == 1 and "deep" in found.complaints[0] and found.seconds < 10


NAMES = {
    "a line break": b"two\nlines",
    "no UTF-8": b"p\xe8re",
    "an escape": b"\x1b[31mred",
    "spaces": b" a  b ",
    "a dash": b"-o",
    "quotes": b"a'b\"c`d$(e)",
    "right to left": "a\u202eb".encode(),
    "200 letters": b"n" * 200,
    "markup": b"<a>&b;",
}


@pytest.mark.parametrize("good", [True, False])
def test_names_of_any_bytes(good: bool, tmp_path: Path, transcribe: Call) -> None:
    folder = good_page(tmp_path / "pages")
    for name in NAMES.values():
        stem = os.fsdecode(name)
        draw(folder / f"{stem}.png")
        (folder / f"{stem}.xml").write_text(page_xml("x") if good else "<PcGts>", encoding="utf-8")
    found = transcribe(folder, options=("--format", "txt,jsonl,page,hocr,csv,tei"))
    assert found.talk.replace("\n", "").isprintable()
    written = {os.fsencode(p.name) for p in found.out.glob("*.txt")}
    if good:
        assert found.code == 0, found.talk
        assert written == {name + b".txt" for name in (b"good", *NAMES.values())}
        for path in found.out.glob("*.jsonl"):
            json.loads(path.read_text(encoding="utf-8"))
    else:
        assert written == {b"good.txt"} and len(found.complaints) == len(NAMES)


def test_a_stem_too_long_for_its_outputs(tmp_path: Path, transcribe: Call) -> None:
    folder = good_page(tmp_path / "pages")
    stem = "n" * 250
    (folder / f"{stem}.xml").write_text(page_xml("good"), encoding="utf-8")
    found = transcribe(folder, options=("--format", "txt,tei"))
    assert found.code == 1 and len(found.complaints) == 1 and "good" in found.written


@pytest.mark.parametrize("place", ["/dev/null", "/proc/self/mem", "/dev/zero", "", "\x00"])
def test_what_is_no_file(place: str, tmp_path: Path, verb: Call, rows: Path) -> None:
    """Devices end at once or are refused; they are not read for ever."""
    out = tmp_path / "out"
    if place == "\x00":  # a shell cannot even say it
        place = os.fsdecode(tmp_path / "x" / ".." / "none")
    found = verb("evaluate", rows, place, out=out)
    assert found.code in (0, 1, 2) and len(found.complaints) <= 1 and found.seconds < 10


# ---- where things are written to --------------------------------------------------------------


def test_a_place_that_takes_nothing(
    tmp_path: Path, transcribe: Call, verb: Call, rows: Path
) -> None:
    folder = good_page(tmp_path / "pages")
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none"), folder):
        found = transcribe(folder, out=place)
        (line,) = found.complaints
        assert found.code == 1 and str(place) in line
        found = verb("combine", f"--engine=x={rows}", "-o", place, "--no-lm", out=place)
        assert place == folder or (len(found.complaints) == 1 and str(place) in found.complaints[0])
    for place in (tmp_path / "file" / "x.json", Path("/proc/none"), tmp_path):
        found = verb("evaluate", rows, rows, "--json", place, out=tmp_path)
        (line,) = found.complaints
        assert found.code == 1 and str(place) in line
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_may_not_change(tmp_path: Path, transcribe: Call) -> None:
    """As a read-only place is even to root: by an attribute, where the file system has it."""
    folder, out = good_page(tmp_path / "pages"), tmp_path / "out"
    out.mkdir()
    done = subprocess.run(["chattr", "+i", str(out)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("chattr +i needs root and a file system that knows it")
    try:
        found = transcribe(folder, out=out)
        (line,) = found.complaints
        assert found.code == 1 and str(out) in line and not found.written
    finally:
        subprocess.run(["chattr", "-i", str(out)], check=True)


@contextmanager
def full_beyond(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def clean(out: Path) -> bool:
    return not [p for p in out.rglob("*") if p.name.endswith(".tmp")]


def test_a_full_disk(tmp_path: Path, transcribe: Call, verb: Call, rows: Path) -> None:
    folder, out = good_page(tmp_path / "pages"), tmp_path / "out"
    (folder / "large.xml").write_text(page_xml("good", lines=30), encoding="utf-8")
    for size in (0, 5000, 40_000):  # not even a journal; a journal but no large page
        with full_beyond(size):
            found = transcribe(folder, out=out, options=("--format", "jsonl"))
        (line,) = found.complaints
        assert found.code == 1 and str(out) in line and clean(out), found.talk
    assert not (out / "large.jsonl").exists()
    found = transcribe(folder, out=out, options=("--format", "jsonl"))
    assert found.code == 0 and (out / "large.jsonl").read_bytes().count(b"\n") == 30
    whole = (out / "large.jsonl").read_bytes()
    (folder / "large.xml").write_text(page_xml("good", lines=29), encoding="utf-8")
    with full_beyond(len(whole) * 3 // 4):
        assert transcribe(folder, out=out, options=("--format", "jsonl")).code == 1
    assert (out / "large.jsonl").read_bytes() == whole  # the old one, whole

    other = tmp_path / "other"
    with full_beyond(40_000):
        words = ("--format", "jsonl", "--no-lm", "--jobs", 1)
        found = verb("combine", f"--engine=x={rows}", "-o", other, *words, out=other)
        assert found.code == 1 and len(found.complaints) == 1 and clean(other)
        assert not (other / "combined.jsonl").exists()
    with full_beyond(100):
        found = verb("evaluate", rows, rows, "--json", other / "x.json", out=other)
        assert found.code == 1 and "x.json" in found.complaints[0] and clean(other)


def test_an_interrupted_write(tmp_path: Path, transcribe: Call) -> None:
    """Killed in the middle of a file: the old one stays whole, the half one is cleared away."""
    folder, out = good_page(tmp_path / "pages"), tmp_path / "out"
    assert transcribe(folder, out=out).code == 0
    before = (out / "good.txt").read_bytes()
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from ensemble_htr.files import atomic_stream\n"
        "with atomic_stream(Path(sys.argv[1])) as stream:\n"
        "    stream.write(b'half a wo'); stream.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(out / "good.txt")], cwd=ROOT, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert (out / "good.txt").read_bytes() == before and not clean(out)
    found = transcribe(folder, out=out)
    assert found.code == 0 and "1 skipped" in found.talk and clean(out)
    assert (out / "good.txt").read_bytes() == before
