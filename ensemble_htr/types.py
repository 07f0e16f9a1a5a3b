"""The nouns: frozen dataclasses that stages hand to one another.

Ground floor: imports NumPy and the standard library only. Conventions that hold everywhere:

* a *token* is one NFC grapheme cluster (or one word, in a word-level network);
* ``EPSILON`` (the empty string) is the token of an arc that writes nothing;
* log-probabilities are natural logarithms and ``<= 0``; confidences lie in ``[0, 1]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "EPSILON",
    "Arc",
    "ConfusionNetwork",
    "Hypothesis",
    "Line",
    "NGramTables",
    "Page",
    "Point",
    "Posteriors",
    "Reading",
    "JointOptions",
    "SearchOptions",
    "WordTable",
    "Slot",
    "Word",
]

EPSILON = ""

Point = tuple[float, float]  # x, y in pixels of the page image, y downwards


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text on a page: its geometry and, once cut, its rectified image.

    ``image`` is ``uint8 (H, W)``, 0 = paper, 255 = ink (so that zero padding is paper), or None
    before the line has been cut. ``baseline`` runs in reading direction and may be empty where
    only a polygon (or box) is known; ``polygon`` may be empty where only a baseline is known.
    """

    id: str
    baseline: tuple[Point, ...] = ()
    polygon: tuple[Point, ...] = ()
    text: str | None = None  # the text that the source file holds, as it stands there
    kind: str = ""  # line or region type named by the source ("printed", "margin", ...)
    image: NDArray[np.uint8] | None = field(default=None, compare=False)
    confirmed: bool = False  # a human vouched for ``text`` (PAGE index 0, ALTO CS="true")
    # types and "#id" of the regions around it, the nearest first
    regions: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Page:
    """The geometry of one page, without pixels. ``width`` and ``height`` are those that the XML
    claims, in pixels (0 if it is silent); ``image`` is the image file that was found, ``frame`` the
    page in it where it has several. A whole page without any XML has format "image" and no lines
    until a segmenter finds them."""

    stem: str
    lines: tuple[Line, ...]
    width: int = 0
    height: int = 0
    image: Path | None = None
    source: Path | None = None  # the XML file
    doc: str = ""
    format: str = ""  # "page", "alto", "hocr", "image"
    frame: int = 0  # of a PDF or TIFF of several pages, from 0


@dataclass(frozen=True, slots=True)
class Posteriors:
    """Frame posteriors of a CTC recognizer.

    ``logp`` is natural-log ``float32 (frames, 1 + V)`` with column 0 = blank and column ``i + 1``
    = ``alphabet[i]``; each row sums to one in probability. ``pixels_per_frame`` is measured on
    ``Line.image``. ``memory`` is what a network with an autoregressive decoder must keep of the
    line to write and to score texts later: its encoder's answer, ``float16 (T, width)``.
    """

    logp: NDArray[np.float32]
    alphabet: tuple[str, ...]
    pixels_per_frame: float = 1.0
    memory: NDArray[np.float16] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.logp.ndim != 2 or self.logp.shape[1] != 1 + len(self.alphabet):
            raise ValueError(
                f"posteriors of shape {self.logp.shape} do not fit an alphabet of "
                f"{len(self.alphabet)} symbols and a blank"
            )


class NGramTables(NamedTuple):
    """A back-off n-gram model as flat arrays over its nodes (0 = the empty context, ``1 + id`` the
    unigrams; the children of a node follow one another, sorted by token), for compiled code.

    Natural logarithms, ``float32 (nodes,)``; the rest is ``int32``. ``first`` has one more entry:
    the children of ``node`` are ``first[node]`` to ``first[node + 1] - 1``.
    """

    logp: NDArray[np.float32]
    bow: NDArray[np.float32]
    token: NDArray[np.int32]
    suffix: NDArray[np.int32]
    first: NDArray[np.int32]
    following: NDArray[np.int32]  # the state after each n-gram
    start: int  # the state at the beginning of a line


class WordTable(NamedTuple):
    """Known words, sorted, as flat arrays for compiled code: word ``i`` has the code points
    ``text[start[i]]`` to ``text[start[i + 1] - 1]``; ``value`` is what each says for a text."""

    text: NDArray[np.int32]
    start: NDArray[np.int64]  # (words + 1,)
    value: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JointOptions:
    """The search for texts that all recognizers together find likely (`decode.joint`)."""

    on: bool = True
    beam: int = 48  # prefixes of one length
    tries: int = 12  # symbols tried after each
    n_best: int = 12
    alpha: float = 1.1  # weight of the language model's natural logarithms
    beta: float = 4.5  # nats added per token: pays back what language and several nets take
    words: float = 1.3  # weight of known and unknown words
    nets: tuple[float, ...] = ()  # weight of each recognizer, in order; () = `total` in equal parts
    total: float = 2.1
    floor: float = 12.0  # nats: the most that one recognizer says against a symbol (up to 27)
    symbol_threshold: float = 1e-3  # symbols that no recognizer ever finds likelier are not tried
    behind: float = 25.0  # nats behind the best prefix of its length at which one is dropped
    patience: float = 8.0  # nats behind the last of the n-best at which the search ends
    alone: bool = True  # nothing but it proposes: n-best lists of single recognizers are left out

    def __post_init__(self) -> None:
        if not (1 <= self.beam <= 4096 and 1 <= self.tries <= 4096 and 1 <= self.n_best <= 256):
            raise ValueError("joint: beam and tries must lie in 1 to 4096, n_best in 1 to 256")
        bounded = (self.alpha, self.beta, self.words, self.total, *self.nets)
        if not all(0 <= value <= 50 for value in bounded):
            raise ValueError("joint: weights must lie in 0 to 50")
        if not (self.floor > 0 and self.behind > 0 and 0 <= self.symbol_threshold < 1):
            raise ValueError("joint: floor and behind must be above 0, symbol_threshold in [0, 1)")


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """The beam search of a recognizer that writes token by token (an autoregressive decoder)."""

    beam: int = 4  # hypotheses kept of each line
    n_best: int = 4
    decoder: bool = True  # False: only the encoder is heard, by its CTC head: much quicker
    write: bool = True  # False: it only scores what others propose, which takes less time
    alpha: float = 0.0  # weight of the language model (the decoder has learned one of its own)
    inner: float = 0.5  # weight of the network's own language module, if it has one
    beta: float = 0.3  # bonus per character, in nats: a decoder likes to end too soon
    dictated: int = 12  # texts of a line that the decoder scores: the likeliest by the CTC scores
    ctc: float = 0.5  # weight of the encoder's own CTC score where finished hypotheses are ranked
    proposed: int = 6  # texts that the encoder's CTC adds to what is written, ranked with it

    def __post_init__(self) -> None:
        if not 1 <= self.n_best <= self.beam <= 64:
            raise ValueError("search: wanted 1 <= n_best <= beam <= 64")
        if not 1 <= self.dictated <= 4096:
            raise ValueError("search: dictated must lie in 1 to 4096")
        if not 0 <= self.proposed <= 256:
            raise ValueError("search: proposed must lie in 0 to 256")
        weights = (self.alpha, self.inner, self.ctc)
        if not (-10 <= self.beta <= 10 and all(0 <= weight <= 10 for weight in weights)):
            raise ValueError("search: alpha, inner and ctc must lie in 0 to 10, beta in -10 to 10")


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One engine's reading of a line.

    ``logprobs`` and ``spans`` are per token or None where the engine gave none. ``score`` is the
    log-probability of the whole string in the engine's own scale (for ranking an n-best list).
    ``lm`` says whether a language model took part in it.
    """

    source: str
    tokens: tuple[str, ...]
    logprobs: tuple[float, ...] | None = None
    spans: tuple[tuple[float, float], ...] | None = None  # start, end in pixels of Line.image
    score: float | None = None
    lm: bool = False

    def __post_init__(self) -> None:
        for name in ("logprobs", "spans"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.tokens):
                raise ValueError(
                    f"{self.source}: {len(values)} {name} for {len(self.tokens)} tokens"
                )

    @property
    def text(self) -> str:
        return "".join(self.tokens)


@dataclass(frozen=True, slots=True)
class Arc:
    """One way through a slot: a token (or epsilon) and what each named voice says of it."""

    token: str
    evidence: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Slot:
    """Rival arcs for one place in the line; their tokens are distinct."""

    arcs: tuple[Arc, ...]

    def __post_init__(self) -> None:
        if not self.arcs:
            raise ValueError("a slot needs at least one arc")
        if len(self.arcs) > 1 and len({arc.token for arc in self.arcs}) != len(self.arcs):
            raise ValueError("the arcs of a slot must have distinct tokens")

    @property
    def tokens(self) -> tuple[str, ...]:
        return tuple(arc.token for arc in self.arcs)


@dataclass(frozen=True, slots=True)
class ConfusionNetwork:
    """A sequence of slots; every aligned hypothesis is a path that takes one arc of each.

    ``rows`` keeps those paths: for each source the token it takes in every slot. ``quarantined``
    has the readings that were left out because they belong to another line, by source.
    """

    slots: tuple[Slot, ...]
    rows: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    level: Literal["char", "word"] = "char"
    quarantined: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for source, row in self.rows.items():
            if len(row) != len(self.slots):
                raise ValueError(
                    f"row '{source}' has {len(row)} tokens for {len(self.slots)} slots"
                )

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(self.rows)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a reading: ``start``/``stop`` index the reading's tokens."""

    text: str
    confidence: float
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Reading:
    """The chosen text of a line with a confidence for every token, word and the whole line.

    ``slots[i]`` is the index of the network slot that token ``i`` was taken from; ``network`` is
    the *why*. ``without_lm`` is what the same judge chose with the language model (and all that
    knows language) at weight 0, ``without_lists`` with lists of words and names at weight 0.
    """

    tokens: tuple[str, ...]
    confidences: tuple[float, ...]
    confidence: float  # probability that the whole line is right
    words: tuple[Word, ...] = ()
    network: ConfusionNetwork | None = None
    slots: tuple[int, ...] = ()
    without_lm: str | None = None
    names: tuple[Mapping[str, object], ...] = ()
    without_lists: str | None = None

    def __post_init__(self) -> None:
        if len(self.confidences) != len(self.tokens):
            raise ValueError("a reading needs one confidence per token")
        if any(not 0.0 <= c <= 1.0 for c in (*self.confidences, self.confidence)):
            raise ValueError("confidences must lie in [0, 1]")

    @property
    def text(self) -> str:
        return "".join(self.tokens)
