"""Slow and obvious: every path, one by one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from ensemble_htr.types import Posteriors

ALPHABET = ("a", "b", "1")


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    """Merge repeats, then drop blanks: the map B of Graves et al. 2006."""
    return tuple(column for column, _ in itertools.groupby(path) if column)


def all_paths(posteriors: Posteriors) -> dict[tuple[int, ...], list[tuple[tuple[int, ...], float]]]:
    """Every path through the frames with its log-probability, grouped by the text it spells."""
    frames, width = posteriors.logp.shape
    texts: dict[tuple[int, ...], list[tuple[tuple[int, ...], float]]] = {}
    for path in itertools.product(range(width), repeat=frames):
        score = sum(float(posteriors.logp[t, c]) for t, c in enumerate(path))
        texts.setdefault(collapse(path), []).append((path, score))
    return texts


def text_scores(posteriors: Posteriors) -> dict[tuple[str, ...], float]:
    """Log of the summed probability of all paths of each text."""
    return {
        tuple(posteriors.alphabet[c - 1] for c in text): math.log(
            math.fsum(math.exp(score) for _, score in paths)
        )
        for text, paths in all_paths(posteriors).items()
    }


def from_logits(logits: NDArray[np.float64], alphabet: tuple[str, ...]) -> Posteriors:
    logits = np.asarray(logits, dtype=np.float64).reshape(-1, 1 + len(alphabet))
    logp = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return Posteriors(logp.astype(np.float32), alphabet, pixels_per_frame=4.0)


@st.composite
def small_posteriors(draw: st.DrawFn, least: int = 1, most: int = 5) -> Posteriors:
    """At most 5 frames and 3 symbols, flat or peaked."""
    frames = draw(st.integers(least, most))
    alphabet = ALPHABET[: draw(st.integers(1, 3))]
    size = frames * (1 + len(alphabet))
    logit = st.floats(-6, 6, allow_nan=False).map(lambda x: round(x, 3))
    return from_logits(np.array(draw(st.lists(logit, min_size=size, max_size=size))), alphabet)


class BigramLM:
    """A real, if tiny, language model: the state is the token before."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def start(self) -> Hashable:
        return "^"

    def score(self, state: Hashable, token: str) -> tuple[float, Hashable]:
        return -self._cost(f"{state}{token}"), token

    def end(self, state: Hashable) -> float:
        return -self._cost(f"{state}$")

    def _cost(self, pair: str) -> float:
        return 0.1 + (sum(map(ord, pair)) * 7919 + self._seed * 104729) % 97 / 30


def random_line(rng: np.random.Generator, frames: int = 80, symbols: int = 30) -> Posteriors:
    """Peaky posteriors as CTC nets make them: surely blank between letters, rivals on them."""
    logits = rng.normal(0, 1.6, (frames, 1 + symbols))
    logits[:, 0] += 14
    for frame in range(0, frames - 1, 3):
        logits[frame, 0] -= 9
        logits[frame, rng.integers(1, 1 + symbols)] += 12
        logits[frame, rng.integers(1, 1 + symbols, 2)] += 9
    return from_logits(logits, tuple(chr(ord("A") + i) for i in range(symbols)))
