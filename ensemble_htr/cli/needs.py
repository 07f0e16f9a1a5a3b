"""Libraries that commands need and that not every installation has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ensemble_htr.errors import MissingDependencyError

__all__ = ["needs"]

_LIBRARIES = {"torch": "PyTorch", "cv2": "OpenCV", "safetensors": "safetensors"}


@contextmanager
def needs(extra: str, purpose: str) -> Iterator[None]:
    """Raises `MissingDependencyError` where the block imports one of our optional libraries, which
    ``extra`` brings, and it is not installed."""
    try:
        yield
    except ImportError as error:
        if (library := _LIBRARIES.get(error.name or "")) is None:
            raise
        raise MissingDependencyError(library, extra, purpose) from None
