"""``review.csv``: the lines worth a human look, those first where a second of reading mends most.

Expected errors of a line are the sum of 1 - confidence over its characters (confidences are
calibrated). The time that it takes is `SECONDS_A_LINE` + `SECONDS_A_CHARACTER` x characters: to
find the line on the page and to move on (an assumption: a scroll and two glances), and to read it
twice, image and text, each at the 200 words of six characters a minute that are usual where people
proofread on paper (Ziefle 1998, Human Factors 40:4). Lines are ordered by the one over the other;
only the balance of both constants matters: the larger the first, the more long lines come before
short ones.

Each page leaves its rows in ``OUT/.ensemble-htr/review``; `merge_review` sorts all that lie there
into one file. So pages that are finished keep their rows when a run goes on, and memory holds a
bounded number of rows (external merge sort, Knuth, TAOCP 3, 5.4).
"""

from __future__ import annotations

import contextlib
import csv
import heapq
import io
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ensemble_htr.errors import OutputError
from ensemble_htr.io.results import (
    PLAIN,
    PageResult,
    WriteOptions,
    doubtful_words,
    kept_text,
    one_line,
    reading_words,
)
from ensemble_htr.io.rivals import rivals
from ensemble_htr.io.write_table import guarded
from ensemble_htr.io.xml import xml_text
from ensemble_htr.names import name_words
from ensemble_htr.types import Reading, Word

__all__ = [
    "DOUBTFUL_NAME",
    "REVIEW",
    "SECONDS_A_CHARACTER",
    "SECONDS_A_LINE",
    "ReviewRow",
    "clear_review",
    "merge_review",
    "names",
    "review_file",
    "review_rows",
]

REVIEW = "review.csv"
SECONDS_A_LINE = 2.0
SECONDS_A_CHARACTER = 0.1  # twice 60 / (200 x 6)
DOUBTFUL_NAME = 0.75  # names matter most: they are doubted sooner than other words
COLUMNS = (
    "page", "line", "text", "expected errors", "seconds", "errors per second", "confidence",
    "doubtful words", "doubtful names", "alternatives",
)  # fmt: skip

_LEAST = 0.1  # expected errors below which a line is not worth a look: nine of ten are right
_RIVALS = 3  # for each doubtful word
_FOLDER = Path(".ensemble-htr", "review")
_RATE = COLUMNS.index("errors per second")
_CHUNK = 20_000  # rows in memory


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """A line to look at. ``seconds`` is the time that reading it takes."""

    page: str
    line: str
    text: str
    errors: float
    seconds: float
    confidence: float
    doubtful_words: tuple[str, ...]
    doubtful_names: tuple[str, ...]
    alternatives: tuple[str, ...]  # "word: rival, rival"

    @property
    def rate(self) -> float:
        """Expected errors per second of reading."""
        return self.errors / self.seconds

    def cells(self) -> tuple[str, ...]:
        """The row of ``review.csv``, in the order of its columns."""
        values = ((self.errors, 3), (self.seconds, 1), (self.rate, 4), (self.confidence, 4))
        numbers = (f"{value:.{places}f}" for value, places in values)
        texts = (
            " ".join(self.doubtful_words),
            " ".join(self.doubtful_names),
            "; ".join(self.alternatives),
        )
        head = (self.page, self.line, self.text)
        return (*map(_cell, head), *numbers, *map(_cell, texts))


def review_rows(result: PageResult, options: WriteOptions = PLAIN) -> list[ReviewRow]:
    """The lines of a page that are worth a look, best first; pure.

    Lines whose text a human confirmed are not, unless ``options.overwrite`` replaces it.
    """
    rows = []
    for line in result.page.lines:
        reading = result.readings.get(line.id)
        if reading is None or kept_text(line, reading, options.overwrite) is not None:
            continue
        row = _row(result.page.stem, line.id, reading)
        if row.errors >= _LEAST or row.doubtful_words or row.doubtful_names:
            rows.append(row)
    return sorted(rows, key=lambda row: -row.rate)


def _row(page: str, line: str, reading: Reading) -> ReviewRow:
    errors = sum(1 - sure for sure in reading.confidences)
    words = doubtful_words(reading)
    doubtful = [name for name in names(reading) if name.confidence < DOUBTFUL_NAME]
    places = sorted({word.start: word for word in (*words, *doubtful)}.items())
    return ReviewRow(
        page,
        line,
        one_line(reading.text),
        errors if reading.tokens else 1 - reading.confidence,
        SECONDS_A_LINE + SECONDS_A_CHARACTER * len(reading.tokens),
        reading.confidence,
        tuple(word.text for word in words),
        tuple(name.text for name in doubtful),
        tuple(filter(None, (_alternatives(reading, word) for _, word in places))),
    )


def names(reading: Reading) -> tuple[Word, ...]:
    """The words that look like names, with their elision and punctuation."""
    found = {place for name in name_words(reading.tokens) for place in range(name.start, name.stop)}
    return tuple(w for w in reading_words(reading) if not found.isdisjoint(range(w.start, w.stop)))


def review_file(key: str, rows: Iterable[ReviewRow], group: str = "pages") -> tuple[str, bytes]:
    """Path below OUT and content of the rows of one page (or of lines without a page, another
    ``group``); written whether there are rows or not, so that old ones go."""
    lines = _text(row.cells() for row in rows)
    return str(_FOLDER / group / f"{key}.csv"), lines.encode("utf-8", "replace")


def clear_review(out: Path, group: str) -> None:
    """Forget the rows of a ``group`` whose lines have no lasting keys."""
    shutil.rmtree(out / _FOLDER / group, ignore_errors=True)


def merge_review(out: Path, look: Callable[[Path], object] = lambda _: None) -> int:
    """Write ``OUT/review.csv`` from all rows below ``OUT``; returns how many there are.

    ``look`` sees the finished file just before it gets its name. Memory holds at most `_CHUNK`
    rows. The file is whole or not there; raises `OutputError`.
    """
    target = out / REVIEW
    try:
        (out / _FOLDER).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out / _FOLDER, prefix=".merge-") as place:
            count, merged = 0, Path(place) / REVIEW
            with open(merged, "w", encoding="utf-8-sig", newline="") as stream:
                stream.write(_text([COLUMNS]))
                for row in _sorted(_all_rows(out / _FOLDER), Path(place)):
                    stream.write(_text([row]))
                    count += 1
            look(merged)
            merged.replace(target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from None
    return count


def _all_rows(folder: Path) -> Iterator[Sequence[str]]:
    """The rows of all pages, in the order of the pages' names; a damaged file is left out."""
    for group in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        for path in sorted(group.glob("*.csv")):
            with contextlib.suppress(OSError, UnicodeDecodeError, csv.Error, ValueError):
                with open(path, encoding="utf-8", newline="") as stream:
                    found = [row for row in csv.reader(stream) if len(row) == len(COLUMNS)]
                for row in found:
                    float(row[_RATE])
                yield from found


def _sorted(rows: Iterable[Sequence[str]], place: Path) -> Iterator[Sequence[str]]:
    """External merge sort by errors per second, highest first; stable."""
    rows = iter(rows)
    runs: list[Path] = []
    while chunk := sorted(itertools.islice(rows, _CHUNK), key=_key):
        if not runs and len(chunk) < _CHUNK:
            yield from chunk
            return
        runs.append(place / f"run-{len(runs)}.csv")
        runs[-1].write_text(_text(chunk), encoding="utf-8", newline="")
    with contextlib.ExitStack() as stack:
        streams: list[TextIO] = [
            stack.enter_context(open(run, encoding="utf-8", newline="")) for run in runs
        ]
        yield from heapq.merge(*map(csv.reader, streams), key=_key)


def _key(row: Sequence[str]) -> float:
    return -float(row[_RATE])


def _alternatives(reading: Reading, word: Word) -> str:
    found = rivals(reading, word.start, word.stop, word.confidence, _RIVALS)
    return f"{word.text}: {', '.join(text for text, _ in found)}" if found else ""


def _cell(text: str) -> str:
    return guarded(xml_text(one_line(text)))


def _text(rows: Iterable[Sequence[str]]) -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\r\n").writerows(rows)
    return stream.getvalue()
