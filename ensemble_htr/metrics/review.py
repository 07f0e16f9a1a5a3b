"""What checking costs: a person looks at the least sure units first; which errors are left?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["SHARES", "TARGETS", "Review", "review_curve"]

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
TARGETS = (0.01, 0.02, 0.05, 0.1)  # error rates worth paying for


@dataclass(frozen=True, slots=True)
class Review:
    """Error rates after the share ``SHARES[i]`` of the units was checked and mended, least sure
    first (in any order among the equally sure: the mean over their orders).

    ``needed`` has the share to check for each rate of `TARGETS`, None where even checking all
    does not do (errors that no unit holds). ``found`` is the share of all errors that lies in the
    20 % least sure; with confidences that say nothing it is 0.2.
    """

    units: int
    left: tuple[float, ...]
    needed: tuple[float | None, ...]
    found: float

    @property
    def points(self) -> tuple[tuple[float, float], ...]:
        return tuple(zip(SHARES, self.left, strict=True))


def review_curve(
    confidences: ArrayLike, edits: ArrayLike, total_edits: int, reference: int
) -> Review:
    """The curve of units with ``confidences (n,)`` that hold ``edits (n,)`` errors each.

    ``total_edits`` and ``reference`` are those of the corpus, so that errors that no unit holds
    (lines that were not read at all) stay in every rate.
    """
    sure = np.asarray(confidences, dtype=np.float64).reshape(-1)
    held = np.asarray(edits, dtype=np.float64).reshape(-1)
    if len(sure) != len(held):
        raise ValueError(f"{len(sure)} confidences for {len(held)} counts of errors")
    values, group = np.unique(sure, return_inverse=True)
    group = group.reshape(-1)
    checked = np.concatenate([[0.0], np.bincount(group, minlength=len(values)).cumsum()])
    mended = np.concatenate([[0.0], np.bincount(group, held, len(values)).cumsum()])
    n, over = len(sure), max(1, reference)
    mended_at = np.interp(np.asarray(SHARES) * n, checked, mended)
    return Review(
        units=n,
        left=tuple(float(max(0.0, total_edits - m)) / over for m in mended_at),
        needed=tuple(_needed(checked, mended, total_edits - t * over) for t in TARGETS),
        found=float(np.interp(0.2 * n, checked, mended)) / max(1, total_edits),
    )


def _needed(
    checked: NDArray[np.float64], mended: NDArray[np.float64], wanted: float
) -> float | None:
    """Share of units that must be checked to mend ``wanted`` errors."""
    units = checked[-1]
    if wanted <= 0:
        return 0.0
    if mended[-1] < wanted or units == 0:
        return None
    place = int(np.searchsorted(mended, wanted))
    before, after = mended[place - 1], mended[place]
    step = (checked[place] - checked[place - 1]) * (wanted - before) / (after - before)
    return float((checked[place - 1] + step) / units)
