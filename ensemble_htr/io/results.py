"""What the writers get: a page, for each line that was read its reading, and what was asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ensemble_htr.errors import UsageError
from ensemble_htr.text import graphemes
from ensemble_htr.types import Line, Page, Reading, Word

__all__ = [
    "DOUBTFUL",
    "PLAIN",
    "PageResult",
    "WriteOptions",
    "doubtful_words",
    "final_reading",
    "kept_text",
    "one_line",
    "reading_words",
]

DOUBTFUL = 0.5  # a word less sure than this is more likely wrong than right
_MOST_ALTERNATIVES = 20


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What the user chooses about the content of the files, whatever their format."""

    overwrite: bool = False  # replace also a text that a human confirmed
    alternatives: int = 0  # PAGE, ALTO: so many rival readings of each line, word and character
    glyphs: bool = False  # PAGE, ALTO: every character as an element, with its confidence

    def __post_init__(self) -> None:
        if not 0 <= self.alternatives <= _MOST_ALTERNATIVES:
            raise UsageError(
                f"{self.alternatives} alternatives: wanted 0 to {_MOST_ALTERNATIVES} of each"
            )


@dataclass(frozen=True, slots=True)
class PageResult:
    """A page with its readings by line id. A line may be missing (it could not be read); every key
    of ``readings`` must be the id of a line of the page."""

    page: Page
    readings: Mapping[str, Reading]

    def __post_init__(self) -> None:
        strangers = set(self.readings) - {line.id for line in self.page.lines}
        if strangers:
            raise ValueError(f"page {self.page.stem} has no line '{min(strangers)}'")


PLAIN = WriteOptions()


def reading_words(reading: Reading) -> tuple[Word, ...]:
    """The words of a reading: its own where they spell its text, else cut at white space.

    A word cut here is as sure as all of its tokens together (their confidences multiplied).
    """
    if [word.text for word in reading.words] == reading.text.split():
        return reading.words
    words: list[Word] = []
    start: int | None = None
    for i, token in enumerate((*reading.tokens, " ")):
        if not token.strip():
            if start is not None:
                text = "".join(reading.tokens[start:i])
                words.append(Word(text, math.prod(reading.confidences[start:i]), start, i))
            start = None
        elif start is None:
            start = i
    return tuple(words)


def kept_text(line: Line, reading: Reading | None, overwrite: bool) -> str | None:
    """The text of the source that stays in the output: any where there is no reading, a human's
    where there is one, unless ``overwrite``."""
    if reading is None or (line.confirmed and not overwrite):
        return line.text
    return None


def final_reading(line: Line, reading: Reading | None, overwrite: bool) -> Reading | None:
    """What the line says in the output: our reading, or the text that stays (`kept_text`) as a
    reading without doubts; None where there is neither."""
    text = kept_text(line, reading, overwrite)
    if text is None:
        return reading
    tokens = graphemes(one_line(text))
    return Reading(tokens, (1.0,) * len(tokens), 1.0)


def doubtful_words(reading: Reading) -> tuple[Word, ...]:
    """The words that are more likely wrong than right."""
    return tuple(word for word in reading_words(reading) if word.confidence < DOUBTFUL)


def one_line(text: str) -> str:
    """``text`` with every kind of line break made a space."""
    return re.sub(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+", " ", text)
