"""How sure an engine is of every character, whatever it says that of: characters, words or lines.

The confidence of a whole is taken for the product of its characters' (as if they erred
independently): a word of n characters with confidence c gives each c^(1/n), so that what is said
of a word stays what is said of it, however long it is. A space between words is as sure as the
less sure of its neighbours.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from ensemble_htr.io.geometry import Notices
from ensemble_htr.io.rows import Record, per_grapheme
from ensemble_htr.text import graphemes

__all__ = [
    "MOST_RIVALS",
    "SPOILT",
    "Heard",
    "Sure",
    "Word",
    "evenly",
    "line_of",
    "pieced",
    "share",
    "spread",
    "spread_record",
]

MOST_RIVALS = 64  # readings kept of what a file holds beside the first one of a line
_LEAST = 1e-9  # probability of a rival that has 0
_ROUNDING = 1e-6
SPOILT = "a confidence that is no number in [0, 1] was ignored"

Sure = tuple[str, tuple[float, ...] | None]  # a word, and a confidence for each grapheme of it


@dataclass(frozen=True, slots=True)
class Word:
    """A word as an engine's file has it: ``confidences`` one a grapheme of ``text`` (NFC), and
    other ``rivals`` for it with their probabilities (None where the file is silent), best first."""

    text: str
    confidences: tuple[float, ...] | None = None
    rivals: tuple[tuple[str, float | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """What an engine's file says of one line: as in `Record`."""

    text: str
    confidences: tuple[float, ...] | None = None
    nbest: tuple[tuple[str, float], ...] = ()


def evenly(whole: float, count: int) -> tuple[float, ...]:
    """``count`` confidences whose product is ``whole``."""
    return (whole ** (1 / count),) * count if count else ()


def spread(words: Sequence[Sure]) -> tuple[float, ...] | None:
    """A confidence for each grapheme of the words joined by spaces; None unless all have some."""
    values: list[float] = []
    for _, sure in words:
        if sure is None:
            return None
        if values and sure:
            values.append(min(values[-1], sure[0]))
        values += sure
    return tuple(values)


def share(text: str | None, notices: Notices) -> float | None:
    """A confidence in [0, 1]; None where there is none, or (with a notice) anything else."""
    if text is None or not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if -_ROUNDING <= value <= 1 + _ROUNDING:
        return min(1.0, max(0.0, value))
    notices.add(SPOILT)
    return None


def line_of(
    text: str | None,
    sure: float | None,
    words: Sequence[Word],
    rivals: Sequence[tuple[str, float | None]] = (),
) -> Heard | None:
    """A line from its ``text``, the confidence of all of it, its words and its rival texts.

    The words' confidences count where they spell the text (a word without one has its share of
    the line's), else the line's own; a rival word makes a rival line. None without a text.
    """
    if text is None:
        return None
    text = unicodedata.normalize("NFC", text)
    spelt = unicodedata.normalize("NFC", " ".join(word.text for word in words))
    count = len(graphemes(text))
    found = None
    if words and spelt == " ".join(text.split()):
        text, count = spelt, len(graphemes(spelt))
        each = () if sure is None else evenly(sure, count)
        inner = [(w.text, w.confidences or each[: len(graphemes(w.text))] or None) for w in words]
        found = spread(inner) if any(w.confidences is not None for w in words) else None
        rivals = [*rivals, *_lines_of(words, sure)]
    if found is None or len(found) != count:  # a mark at a word's start joined what is before it
        found = None if sure is None else evenly(sure, count)
    return Heard(text, found, _nbest(text, sure, rivals))


def spread_record(record: Record) -> tuple[float, ...] | None:
    """The confidences of a record's characters: its own, else from its words', else its line's."""
    if record.confidences is not None:
        return record.confidences
    if not record.words and record.confidence is None:
        return None
    words = [Word(t, evenly(c, len(graphemes(t)))) for t, c in record.words]
    found = line_of(record.text, record.confidence, words)
    return found.confidences if found is not None and found.text == record.text else None


def pieced(pieces: Sequence[str], values: Sequence[float], text: str) -> tuple[float, ...] | None:
    """Confidences of ``pieces`` for the graphemes of NFC ``text``; None if they do not spell it."""
    if not pieces or unicodedata.normalize("NFC", "".join(pieces)) != text:
        return None
    return per_grapheme(pieces, values, text)


def _lines_of(words: Sequence[Word], sure: float | None) -> list[tuple[str, float | None]]:
    """The line with one word replaced by each of its rivals in turn: as likely as the line, times
    the odds between the two words."""
    found: list[tuple[str, float | None]] = []
    for i, word in enumerate(words):
        own = None if word.confidences is None else math.prod(word.confidences)
        whole = own if sure is None else sure
        for text, p in word.rivals[:MOST_RIVALS]:
            replaced = " ".join(text if j == i else w.text for j, w in enumerate(words))
            known = None
            if p is not None and own is not None and whole is not None:
                known = min(1.0, whole * p / max(own, _LEAST))
            found.append((replaced, known))
        if len(found) > MOST_RIVALS:
            break
    return found


def _nbest(
    text: str, sure: float | None, rivals: Sequence[tuple[str, float | None]]
) -> tuple[tuple[str, float], ...]:
    """Best first with natural logarithms as scores; by their ranks where a probability is lacking.
    () without rivals."""
    if not rivals:
        return ()
    distinct: dict[str, float | None] = {text: sure}
    for rival, p in rivals:
        distinct.setdefault(unicodedata.normalize("NFC", rival), p)
    known = [(t, math.log(max(p, _LEAST))) for t, p in distinct.items() if p is not None]
    if len(known) == len(distinct):
        ranked = sorted(known, key=lambda reading: -reading[1])
    else:
        ranked = [(t, -float(rank)) for rank, t in enumerate(distinct)]
    return tuple(ranked[:MOST_RIVALS]) if len(ranked) > 1 else ()
