"""Readings by eight engines that do not exist, of French text that does.

Errors as recognizers of handwriting make them, drawn from one seed: letters for letters of their
shape, merges and splits (m / rn), lost and glued spaces, lost accents, letters dropped and doubled.
Engines err together: every place has a difficulty that all of them share, and at a hard place they
often make the same error. Their confidences know something of the errors, each on a scale of its
own, and all claim too much.
"""

from __future__ import annotations

import lzma
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rapidfuzz.distance import Levenshtein

__all__ = ["RATES", "Line", "lines_of", "read_all"]

RATES = (0.080, 0.090, 0.100, 0.110, 0.120, 0.130, 0.140, 0.150)  # CER of each engine
_SETS = ("aouec", "nuvr", "mnw", "il1tjf", "ceé", "gyqj", "hkbl", "szr", "pyg", "ft", "dcl",
         "àaâ", "éèêe", "ùu", "ôo", "îi", "çc", "CGEL", "IJTL", "MNW", "SLP", "DOQ", ".,",
         ",;", "'i", "-_", "0o6", "1l7", "35s", "49")  # fmt: skip
_GROUPS = (("m", "rn"), ("u", "ii"), ("n", "ri"), ("w", "vv"), ("d", "cl"), ("h", "li"),
           ("m", "ni"), ("m", "in"), ("k", "lc"), ("b", "lo"), ("g", "cj"))  # fmt: skip
_KINDS = ("shape", "group", "drop", "double", "space", "any")
_SHARES = (0.52, 0.12, 0.12, 0.06, 0.10, 0.08)
_LETTERS = "etaoinsrlucdpm"

Change = tuple[int, str]  # characters of the text that it stands for, what is written instead


@dataclass(frozen=True)
class Line:
    """A text and what the engines read: a string and a confidence in [0, 1] a character each."""

    text: str
    readings: tuple[tuple[str, tuple[float, ...]], ...]


def read_all(path: Path, count: int, seed: int) -> list[Line]:
    """``count`` lines of the text at ``path`` (`.txt` or `.txt.xz`) as the engines read them."""
    rng = random.Random(seed)
    opened = lzma.open if path.suffix == ".xz" else open
    with opened(path, "rt", encoding="utf-8") as stream:
        texts = lines_of(stream.read(40_000_000), rng, count)
    return _read(texts, rng)


def lines_of(text: str, rng: random.Random, count: int) -> list[str]:
    """Runs of whole words, 30 to 80 characters long, from all over ``text``."""
    found = []
    words = text.replace("’", "'").split()
    while len(found) < count:
        start, length, line = rng.randrange(len(words)), rng.randint(30, 80), ""
        for word in words[start : start + 40]:
            if len(line) + len(word) + 1 > length:
                break
            line = f"{line} {word}".strip()
        if len(line) >= 20:
            found.append(line)
    return found


def _read(texts: Sequence[str], rng: random.Random) -> list[Line]:
    hard = [[_difficulty(rng, text) for _ in text] for text in texts]
    common = [[_change(rng, text, i) for i in range(len(text))] for text in texts]
    columns = [_engine(texts, hard, common, rate, random.Random(rng.random())) for rate in RATES]
    return [Line(t, tuple(each)) for t, *each in zip(texts, *columns, strict=True)]


def _difficulty(rng: random.Random, text: str) -> float:
    return rng.lognormvariate(0.0, 1.1)


def _engine(
    texts: Sequence[str],
    hard: Sequence[Sequence[float]],
    common: Sequence[Sequence[Change]],
    rate: float,
    rng: random.Random,
) -> list[tuple[str, tuple[float, ...]]]:
    """One engine's readings; the strength of its noise is fitted to its rate on the first lines."""
    boast, state, strength = rng.uniform(0.3, 0.7), rng.random(), rate
    for _ in range(4):
        probe = random.Random(state)
        some = [
            _reading(t, h, c, strength, boast, probe)
            for t, h, c in zip(texts[:400], hard, common, strict=False)
        ]
        wrong = sum(Levenshtein.distance(t, r) for t, (r, _) in zip(texts, some, strict=False))
        strength *= rate * sum(map(len, texts[:400])) / max(1, wrong)
    noise = random.Random(state)
    return [
        _reading(t, h, c, strength, boast, noise)
        for t, h, c in zip(texts, hard, common, strict=True)
    ]


def _reading(
    text: str,
    hard: Sequence[float],
    common: Sequence[Change],
    strength: float,
    boast: float,
    rng: random.Random,
) -> tuple[str, tuple[float, ...]]:
    written: list[str] = []
    sure: list[float] = []
    i = 0
    while i < len(text):
        odds = min(0.9, strength * hard[i] / 1.8)
        if rng.random() < odds:
            used, new = common[i] if rng.random() < 0.35 else _change(rng, text, i)
            doubt = rng.betavariate(2.2, 2.0)
        else:
            used, new = 1, text[i]
            doubt = rng.betavariate(1.0, 7.0) * (1 + odds)
        written += new
        sure += [max(0.01, min(1.0, 1 - boast * doubt)) for _ in new]
        i += used
    return "".join(written), tuple(sure)


def _change(rng: random.Random, text: str, i: int) -> Change:
    """What could be written at place ``i`` in error."""
    here = text[i]
    if here == " ":
        return rng.choices([(1, ""), (1, here), (1, rng.choice("-',i"))], (0.85, 0.05, 0.1))[0]
    kind = rng.choices(_KINDS, _SHARES)[0]
    if kind == "group":
        for one, two in rng.sample(_GROUPS, len(_GROUPS)):
            for old, new in ((one, two), (two, one)):
                if text.startswith(old, i):
                    return len(old), new
        kind = "shape"
    if kind == "drop":
        return 1, ""
    if kind == "double":
        return 1, here + rng.choice((here, rng.choice("icern")))
    if kind == "space":
        return 1, here + " "
    alike = [c for group in _SETS if here in group for c in group if c != here]
    return 1, rng.choice(alike) if alike and kind == "shape" else rng.choice(_LETTERS)
