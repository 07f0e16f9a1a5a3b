"""Lines from kraken's baseline segmenter, run as a program of its own.

kraken's pins cannot share our environment, so it lives in the user's and is called with a PNG of
the page (``kraken -i PAGE.png OUT.json segment -bl``); its answer is the "native" JSON that kraken
4 to 7 write: ``{"lines": [{"id", "baseline": [[x, y]], "boundary": [[x, y]]}]}``, in kraken's
reading order.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.errors import EnsembleError, UsageError
from ensemble_htr.types import Line, Point

__all__ = ["COMMAND_VARIABLE", "KrakenSegmenter", "build"]

COMMAND_VARIABLE = "ENSEMBLE_HTR_KRAKEN"
SECONDS = 600.0  # a page takes 10 to 30 s of one core
_MOST_BYTES = 1 << 26
_MOST_LINES, _MOST_POINTS = 20_000, 10_000
_MAIN = "from kraken.kraken import cli; cli()"


@dataclass(frozen=True, slots=True)
class KrakenSegmenter:
    """``command`` starts kraken; it is killed after ``seconds``."""

    command: tuple[str, ...]
    seconds: float = SECONDS

    def segment(self, image: NDArray[np.uint8]) -> tuple[Line, ...]:
        """The lines of a gray page ``uint8 (H, W)``, as kraken orders them.

        Raises `EnsembleError` if kraken fails, takes too long or answers what is no segmentation.
        """
        import cv2

        with tempfile.TemporaryDirectory(prefix="ensemble-htr-") as folder:
            page, answer = Path(folder, "page.png"), Path(folder, "lines.json")
            page.write_bytes(cv2.imencode(".png", image)[1].tobytes())
            told = self._run(["-i", str(page), str(answer), "segment", "-bl"], folder)
            if not answer.is_file() or answer.stat().st_size > _MOST_BYTES:
                raise EnsembleError(f"kraken found no lines and does not say why{told}")
            return _lines(answer.read_bytes(), image.shape)

    def _run(self, arguments: list[str], folder: str) -> str:
        """Run kraken in ``folder``; returns the end of what it said, for an error message."""
        said = Path(folder, "said.txt")
        with open(said, "wb") as stream:
            try:
                process = subprocess.Popen(
                    [*self.command, *arguments], cwd=folder, stdin=subprocess.DEVNULL,
                    stdout=stream, stderr=stream, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise UsageError(
                    f"kraken cannot be started ({self.command[0]}: {error.strerror}); "
                    f"set {COMMAND_VARIABLE} to the kraken program of its own environment"
                ) from None
            try:
                code = process.wait(self.seconds)
            except subprocess.TimeoutExpired:
                raise EnsembleError(
                    f"kraken took longer than {self.seconds:g} s for a page and was stopped"
                ) from None
            finally:
                _stop(process)
        told = _last_line(said)
        if code != 0:
            raise EnsembleError(f"kraken failed with status {code}{told}")
        return told


def build() -> KrakenSegmenter:
    """The segmenter that is called ``kraken``: what $ENSEMBLE_HTR_KRAKEN names (kraken's program,
    the Python of its environment, or a command line that starts it), else ``kraken`` on the PATH.

    Raises `UsageError` if there is none.
    """
    named = os.environ.get(COMMAND_VARIABLE, "").strip()
    try:
        words = [named] if shutil.which(named) else shlex.split(named)
    except ValueError as error:
        raise UsageError(f"{COMMAND_VARIABLE} is no command line: {error}") from None
    words = words or ["kraken"]
    program = shutil.which(words[0])
    if program is None and named:
        raise UsageError(
            f"{COMMAND_VARIABLE} names '{words[0]}', which is no program; wanted the path of the "
            "kraken program, or of the Python of its environment"
        )
    if program is None:
        raise UsageError(
            "--segmenter kraken: no program 'kraken' was found; install it in an environment of "
            f"its own (pip install kraken) and set {COMMAND_VARIABLE} to its kraken program"
        )
    python = len(words) == 1 and Path(program).name.startswith("python")
    return KrakenSegmenter((program, "-c", _MAIN) if python else (program, *words[1:]))


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End kraken and what it started, if anything is left."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (AttributeError, OSError):  # no process groups here, or it has just ended
            process.kill()
        process.wait()


def _last_line(said: Path) -> str:
    with open(said, "rb") as stream:
        stream.seek(max(0, said.stat().st_size - 4000))
        lines = stream.read().decode("utf-8", "replace").split("\n")
    words = [" ".join(line.split()) for line in lines if any(c.isalnum() for c in line)]
    return f": {words[-1][-300:]}" if words else ""


def _lines(data: bytes, shape: tuple[int, ...]) -> tuple[Line, ...]:
    """kraken's JSON as lines; those without a baseline of two points are left out."""
    try:
        rows = json.loads(data)["lines"]
        if not isinstance(rows, list) or len(rows) > _MOST_LINES:
            raise ValueError("'lines' is no list of lines")
        found = [(_points(row.get("baseline"), shape), row) for row in rows]
        return tuple(
            Line(f"line_{i}", baseline, _points(row.get("boundary"), shape))
            for i, (baseline, row) in enumerate((f for f in found if len(f[0]) >= 2), start=1)
        )
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise EnsembleError(
            f"kraken's answer is no baseline segmentation ({' '.join(str(error).split())}); "
            "wanted kraken 4 or newer"
        ) from None


def _points(points: Any, shape: tuple[int, ...]) -> tuple[Point, ...]:
    """Points within the page ``(H, W)``; raises `ValueError` and its like for anything else."""
    found = [(float(x), float(y)) for x, y in points or ()]
    if len(found) > _MOST_POINTS or not all(math.isfinite(v) for point in found for v in point):
        raise ValueError("a line has points that are no numbers, or too many")
    height, width = shape[:2]
    return tuple((min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)) for x, y in found)
