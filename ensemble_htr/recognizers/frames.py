"""What all recognizers with frame posteriors share, whatever runs their network: lines to padded
batches, answers to `Posteriors`. No torch here."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.errors import InputError
from ensemble_htr.protocols import Decoder, TextScorer
from ensemble_htr.recognizers.inputs import scale_to_height
from ensemble_htr.types import Hypothesis, Line, Posteriors

__all__ = ["BATCH", "FrameReader", "Impression", "padded_width"]

Impression = tuple[NDArray[np.float32], NDArray[np.float16] | None]  # posteriors, memory
BATCH = 8  # lines of one width read together; more gains nothing on a CPU


class FrameReader(ABC):
    """Implements `protocols.PosteriorRecognizer` and `ScoringRecognizer` over `_impressions`.

    Every line is padded with paper to a width that depends on the line alone (`padded_width`), and
    only lines of the same padded width share a batch: a line reads the same alone and in company.
    """

    name: str
    alphabet: tuple[str, ...]
    height: int  # rows of the network's input
    stretch: float = 1.0  # columns of it, for each that its height asks for
    stride: int  # columns of it that a frame stands for
    decoder: Decoder
    scorer: TextScorer
    facts: Mapping[str, Any]  # where it comes from

    def posteriors(self, lines: Sequence[Line]) -> list[Posteriors]:
        """Frame posteriors of each line; raises `InputError` for a line that was not cut."""
        images = [_scaled(line, self.height, self.stretch) for line in lines]
        groups: dict[int, list[int]] = {}
        for i, image in enumerate(images):
            groups.setdefault(padded_width(image.shape[1]), []).append(i)
        found: dict[int, Posteriors] = {}
        for width, members in groups.items():
            for start in range(0, len(members), BATCH):
                batch = members[start : start + BATCH]
                frames = [math.ceil(images[i].shape[1] / self.stride) for i in batch]
                heard = self._impressions(_padded([images[i] for i in batch], width), frames)
                for (logp, memory), i in zip(heard, batch, strict=True):
                    scale = _height(lines[i]) / self.height / self.stretch
                    found[i] = Posteriors(logp, self.alphabet, self.stride * scale, memory)
        return [found[i] for i in range(len(lines))]

    def read(self, lines: Sequence[Line], n_best: int = 1) -> list[list[Hypothesis]]:
        return [self.decoder.decode(p, n_best) for p in self.posteriors(lines)]

    def score(self, lines: Sequence[Line], texts: Sequence[Sequence[str]]) -> list[list[float]]:
        """``texts[i]`` are the rival texts of ``lines[i]``, cut into code points by `str`."""
        pairs = zip(self.posteriors(lines), texts, strict=True)
        return [self.scorer(p, [tuple(text) for text in rivals]) for p, rivals in pairs]

    @abstractmethod
    def _impressions(self, batch: NDArray[np.uint8], frames: Sequence[int]) -> list[Impression]:
        """For each line of ``batch (B, 1, height, width)`` its log posteriors ``(frames, 1 + V)``
        and what a decoder must keep of it."""


def _padded(images: Sequence[NDArray[np.uint8]], width: int) -> NDArray[np.uint8]:
    """``uint8 (B, 1, height, width)`` of images of at most ``width`` columns."""
    batch = np.zeros((len(images), 1, images[0].shape[0], width), np.uint8)
    for row, image in zip(batch, images, strict=True):
        row[0, :, : image.shape[1]] = image
    return batch


def padded_width(width: int) -> int:
    """The width a line is padded to: the next multiple of 16, of 32 from 256 px, 64 from 512 ..."""
    quantum = 16
    while width > 16 * quantum:
        quantum *= 2
    return max(quantum, math.ceil(width / quantum) * quantum)


def _scaled(line: Line, height: int, stretch: float) -> NDArray[np.uint8]:
    if line.image is None or line.image.ndim != 2 or 0 in line.image.shape:
        raise InputError(f"line {line.id}: has no image; cut it from its page first")
    return scale_to_height(line.image, height, stretch)


def _height(line: Line) -> int:
    assert line.image is not None
    return line.image.shape[0]
