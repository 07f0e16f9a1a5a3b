"""What every decoder does first: check the posteriors, and name their columns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.errors import InputError
from ensemble_htr.types import Posteriors

__all__ = ["BLANK", "Span", "checked", "columns_of", "pixels"]

BLANK = 0  # column of the CTC blank in `Posteriors.logp`

Span = tuple[float, float]  # start, end in pixels of Line.image

_SLACK = 1e-2  # half-precision nets may overshoot log 1 by this much


def checked(posteriors: Posteriors) -> NDArray[np.float64]:
    """Return the log-posteriors as ``float64 (frames, 1 + V)``, clipped to ``<= 0``.

    ``-inf`` (an impossible symbol) is allowed. Raises `InputError` for NaN, for values that cannot
    be log-probabilities and for a frame in which no symbol is possible.
    """
    logp = np.asarray(posteriors.logp, dtype=np.float64)
    peaks = logp.max(axis=1)  # NaN wins every maximum, so one pass sees all three defects
    for bad, what in (
        (np.isnan(peaks), "hold NaN"),
        (peaks > _SLACK, "hold a value above 0"),
        (np.isneginf(peaks), "allow no symbol at all"),
    ):
        if bad.any():
            raise InputError(
                f"posteriors {what} at frame {int(bad.argmax())} of {len(peaks)}: wanted "
                "natural-log probabilities (log-softmax); check the recognizer's weights and image"
            )
    return np.minimum(logp, 0.0)


def columns_of(posteriors: Posteriors, tokens: Sequence[str]) -> list[int] | None:
    """The column of each token, or None if one of them is not in the alphabet."""
    columns = _columns(posteriors.alphabet)
    try:
        return [columns[token] for token in tokens]
    except KeyError:
        return None


@lru_cache(maxsize=16)
def _columns(alphabet: tuple[str, ...]) -> dict[str, int]:
    return {token: column for column, token in enumerate(alphabet, start=1)}


def pixels(posteriors: Posteriors, first: int, last: int) -> Span:
    """The pixels that frames ``first`` to ``last`` (both included) cover on the line image."""
    step = posteriors.pixels_per_frame
    return first * step, (last + 1) * step
