"""The forward pass of `decode.forced`, compiled: the same sums over flat arrays.

`decode.forced._forward` is the plain account of it and its oracle. To import this module is to
import numba.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.jit import compiled

__all__ = ["forward"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@compiled
def forward(prob: Floats, columns: Ints, start: Ints) -> Floats:
    """The summed probability of all walks of each text: ``prob (T, C)``, text ``i`` has the
    columns ``columns[start[i] : start[i + 1]]``."""
    frames = len(prob)
    longest = 0
    for i in range(len(start) - 1):
        longest = max(longest, start[i + 1] - start[i])
    told, blank = np.empty(longest), np.empty(longest + 1)  # mass on a token, on the blank before
    sums = np.zeros(len(start) - 1)
    for i in range(len(start) - 1):
        text = columns[start[i] : start[i + 1]]
        length = len(text)
        told[:length] = 0.0
        blank[: length + 1] = 0.0
        blank[0] = prob[0, 0]
        if length:
            told[0] = prob[0, text[0]]
        for frame in range(1, frames):
            # later tokens cannot be reached yet, from earlier ones the end is out of reach
            high = min(length, frame + 1)
            low = max(0, length - 1 - (frames - frame))
            silence = prob[frame, 0]
            for k in range(high - 1, low - 1, -1):  # downwards: what is read is of the frame before
                before = told[k]
                blank[k + 1] = (blank[k + 1] + before) * silence
                arriving = blank[k] + before
                if k and text[k] != text[k - 1]:
                    arriving += told[k - 1]
                told[k] = arriving * prob[frame, text[k]]
            if low == 0:
                blank[0] *= silence
        sums[i] = blank[length] + (told[length - 1] if length else 0.0)
    return sums
