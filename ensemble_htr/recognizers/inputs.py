"""What training and reading must do alike: the size of a line image, and the precision."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["has_fast_bf16", "scale_to_height"]


def scale_to_height(
    image: NDArray[np.uint8], height: int, stretch: float = 1.0
) -> NDArray[np.uint8]:
    """Resize ``uint8 (H, W)`` to ``height`` rows, ``stretch`` times as wide as the aspect ratio
    says, at least one column wide."""
    rows, columns = image.shape
    width = max(1, round(columns * height / rows * stretch))
    if (rows, columns) == (height, width):
        return image
    how = cv2.INTER_AREA if height < rows else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)


def has_fast_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 natively (avx512_bf16 or AMX)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
