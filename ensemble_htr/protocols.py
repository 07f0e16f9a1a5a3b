"""The verbs: what each stage must be able to do. One or two methods each, no inheritance needed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.types import (
    ConfusionNetwork,
    Hypothesis,
    Line,
    NGramTables,
    Posteriors,
    Reading,
    SearchOptions,
)

__all__ = [
    "Aligner",
    "Combiner",
    "Decoder",
    "LanguageModel",
    "PosteriorRecognizer",
    "Proposer",
    "Recognizer",
    "Rescorer",
    "ScoringRecognizer",
    "Segmenter",
    "SpeakingRecognizer",
    "TabularLanguageModel",
    "TextScorer",
    "TextVoice",
    "WritingRecognizer",
]


@runtime_checkable
class Segmenter(Protocol):
    """Finds the lines of a page that nobody has marked."""

    def segment(self, image: NDArray[np.uint8]) -> tuple[Line, ...]:
        """The lines of a gray page ``uint8 (H, W)``, 0 = black, in reading order: distinct ids,
        baselines in reading direction and polygons that hold a line's ink and little else, all in
        the page's pixels. Raises `EnsembleError` where it cannot work."""


@runtime_checkable
class Recognizer(Protocol):
    """Reads line images. ``name`` identifies the engine's row in networks and outputs."""

    name: str

    def read(self, lines: Sequence[Line], n_best: int = 1) -> list[list[Hypothesis]]:
        """For each line its hypotheses, best first (at least one, at most ``n_best``)."""


@runtime_checkable
class PosteriorRecognizer(Recognizer, Protocol):
    """A recognizer that can show its frame posteriors."""

    def posteriors(self, lines: Sequence[Line]) -> list[Posteriors]: ...


@runtime_checkable
class ScoringRecognizer(Recognizer, Protocol):
    """A recognizer that can say how well any given text fits a line image."""

    def score(self, lines: Sequence[Line], texts: Sequence[Sequence[str]]) -> list[list[float]]:
        """Natural-log probability of each of ``texts[i]`` given ``lines[i]`` (``-inf`` if it
        cannot be written with this recognizer's alphabet at this length)."""


@runtime_checkable
class WritingRecognizer(PosteriorRecognizer, Protocol):
    """A recognizer whose own decoder writes token by token, from what it kept of a line."""

    def write(
        self,
        heard: Sequence[Posteriors],
        options: SearchOptions | None = None,
        lm: LanguageModel | None = None,
    ) -> list[list[Hypothesis]]:
        """For each line what its decoder writes, best first."""

    def dictate(
        self, heard: Sequence[Posteriors], texts: Sequence[Sequence[Sequence[str]]]
    ) -> list[list[float]]:
        """Natural-log probability of each of the rival ``texts[i]`` of line ``i``, token by token
        and then the end."""


@runtime_checkable
class SpeakingRecognizer(Protocol):
    """A recognizer that may have learned from texts alone how lines go on."""

    @property
    def speaks(self) -> bool:
        """Whether it has."""

    def tell(self, texts: Sequence[Sequence[str]]) -> list[list[float]]:
        """What it expects, without any line: of each text the natural log of every token and of
        the end."""


class TextScorer(Protocol):
    """Forced scores from posteriors that were computed already (no second pass of the net)."""

    def __call__(self, posteriors: Posteriors, texts: Sequence[Sequence[str]]) -> list[float]: ...


@runtime_checkable
class TextVoice(Protocol):
    """A voice that judges whole texts without seeing the image: a language model read forward or
    backward, a list of names. ``name`` is the key of its evidence on arcs and of its weight."""

    name: str

    def speak(self, texts: Sequence[tuple[str, ...]]) -> list[float]:
        """What it says of each text of tokens, in its own finite scale (higher = likelier); only
        differences between rival texts of one line count."""


@runtime_checkable
class Decoder(Protocol):
    def decode(self, posteriors: Posteriors, n_best: int = 1) -> list[Hypothesis]:
        """Distinct hypotheses, best first."""


@runtime_checkable
class LanguageModel(Protocol):
    """A token model with opaque, hashable, immutable states."""

    def start(self) -> Hashable:
        """The state at the beginning of a line."""

    def score(self, state: Hashable, token: str) -> tuple[float, Hashable]:
        """Natural-log probability of ``token`` after ``state``, and the state that follows."""

    def end(self, state: Hashable) -> float:
        """Natural-log probability that the line ends after ``state``."""


@runtime_checkable
class TabularLanguageModel(LanguageModel, Protocol):
    """A back-off n-gram model whose states are nodes of its tables."""

    @property
    def tables(self) -> NGramTables: ...

    def id_of(self, token: str) -> int:
        """The token's number in the tables (0 for one that the model does not know)."""


@runtime_checkable
class Aligner(Protocol):
    def align(self, hypotheses: Sequence[Hypothesis]) -> ConfusionNetwork: ...


@runtime_checkable
class Proposer(Protocol):
    """Adds arcs (with a stated support in the image or in an engine), never evidence of others."""

    def propose(self, network: ConfusionNetwork) -> ConfusionNetwork: ...


@runtime_checkable
class Rescorer(Protocol):
    """Adds exactly its own evidence key to arcs; keeps slots and arcs as they are."""

    def rescore(self, network: ConfusionNetwork) -> ConfusionNetwork: ...


@runtime_checkable
class Combiner(Protocol):
    """The only judge."""

    def combine(self, network: ConfusionNetwork) -> Reading: ...
