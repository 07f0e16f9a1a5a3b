"""A trained CTC network as a recognizer: lines in; posteriors, readings and forced scores out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ensemble_htr.errors import AssetError, InputError, UsageError
from ensemble_htr.protocols import Decoder, TextScorer
from ensemble_htr.recognizers.inputs import has_fast_bf16, scale_to_height
from ensemble_htr.recognizers.weights import Weights, load_weights
from ensemble_htr.recognizers.zoo import build_network
from ensemble_htr.types import Hypothesis, Line, Posteriors

__all__ = ["CtcRecognizer", "Impression", "log_softmax", "padded_width"]

Precision = Literal["auto", "fp32"]
Impression = tuple[NDArray[np.float32], NDArray[np.float16] | None]  # posteriors, memory
BATCH = 8  # lines of one width read together; more gains nothing on a CPU


class CtcRecognizer:
    """Implements `protocols.PosteriorRecognizer` and `ScoringRecognizer`.

    Every line is padded with paper to a width that depends on the line alone (`padded_width`), and
    only lines of the same padded width share a batch: a line reads the same alone and in company.
    ``decoder`` and ``scorer`` are handed in by the pipeline. ``precision`` "auto" computes in
    bfloat16 where the CPU does so natively (or on CUDA), "fp32" never.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        decoder: Decoder,
        scorer: TextScorer,
        precision: Precision = "auto",
        weights: Weights | None = None,
    ) -> None:
        weights = weights or load_weights(path)
        self.name, self.alphabet, self.profile = name, weights.alphabet, weights.profile
        self.facts = weights.facts
        try:
            network = build_network(weights.architecture, dict(weights.network), len(self.alphabet))
        except UsageError as error:
            raise AssetError(f"{path}: the weights describe no network: {error}") from None
        try:
            missing, unexpected = network.load_state_dict(
                {k: v.float() if v.is_floating_point() else v for k, v in weights.tensors.items()},
                strict=False,
            )
        except RuntimeError as error:
            raise AssetError(f"{path}: the weights do not fit a {weights.architecture}") from error
        if unexpected or any(not key.startswith("shortcut.") for key in missing):
            raise AssetError(f"{path}: the weights do not fit a {weights.architecture}")
        if not all(bool(torch.isfinite(t).all()) for t in network.state_dict().values()):
            raise AssetError(f"{path}: the weights hold values that are not finite")
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.height = int(network.config.height)  # type: ignore[union-attr,arg-type]
        self.stride = int(network.config.pixels_per_frame)  # type: ignore[union-attr,arg-type]
        network = network.to(self.device).eval()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.half = precision == "auto" and (self.device.type == "cuda" or has_fast_bf16())
        self.decoder, self.scorer = decoder, scorer

    def posteriors(self, lines: Sequence[Line]) -> list[Posteriors]:
        """Frame posteriors of each line; raises `InputError` for a line that was not cut."""
        images = [_scaled(line, self.height) for line in lines]
        groups: dict[int, list[int]] = {}
        for i, image in enumerate(images):
            groups.setdefault(padded_width(image.shape[1]), []).append(i)
        found: dict[int, Posteriors] = {}
        for width, members in groups.items():
            for start in range(0, len(members), BATCH):
                batch = members[start : start + BATCH]
                frames = [math.ceil(images[i].shape[1] / self.stride) for i in batch]
                heard = self._forward(self._inputs([images[i] for i in batch], width), frames)
                for (logp, memory), i in zip(heard, batch, strict=True):
                    scale = _height(lines[i]) / self.height
                    found[i] = Posteriors(logp, self.alphabet, self.stride * scale, memory)
        return [found[i] for i in range(len(lines))]

    def read(self, lines: Sequence[Line], n_best: int = 1) -> list[list[Hypothesis]]:
        return [self.decoder.decode(p, n_best) for p in self.posteriors(lines)]

    def score(self, lines: Sequence[Line], texts: Sequence[Sequence[str]]) -> list[list[float]]:
        """``texts[i]`` are the rival texts of ``lines[i]``, cut into code points by `str`."""
        pairs = zip(self.posteriors(lines), texts, strict=True)
        return [self.scorer(p, [tuple(text) for text in rivals]) for p, rivals in pairs]

    def _inputs(self, images: Sequence[NDArray[np.uint8]], width: int) -> torch.Tensor:
        """``float (B, 1, height, width)`` of images of at most ``width`` columns."""
        batch = np.zeros((len(images), 1, self.height, width), np.uint8)
        for row, image in zip(batch, images, strict=True):
            row[0, :, : image.shape[1]] = image
        inputs = torch.from_numpy(batch).to(self.device).float() / 255.0
        return inputs.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def _forward(self, inputs: torch.Tensor, frames: Sequence[int]) -> list[Impression]:
        """For each line its log posteriors ``(frames, 1 + V)`` and no memory."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            logits, _ = self.network(inputs)
        logp = log_softmax(logits)
        return [(row[:count], None) for row, count in zip(logp, frames, strict=True)]


def log_softmax(logits: torch.Tensor) -> NDArray[np.float32]:
    return np.asarray(torch.log_softmax(logits.float(), -1).cpu().numpy(), np.float32)


def padded_width(width: int) -> int:
    """The width a line is padded to: the next multiple of 16, of 32 from 256 px, 64 from 512 ..."""
    quantum = 16
    while width > 16 * quantum:
        quantum *= 2
    return max(quantum, math.ceil(width / quantum) * quantum)


def _scaled(line: Line, height: int) -> NDArray[np.uint8]:
    if line.image is None or line.image.ndim != 2 or 0 in line.image.shape:
        raise InputError(f"line {line.id}: has no image; cut it from its page first")
    return scale_to_height(line.image, height)


def _height(line: Line) -> int:
    assert line.image is not None
    return line.image.shape[0]
