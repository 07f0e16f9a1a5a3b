"""A trained CTC network as a recognizer: lines in; posteriors, readings and forced scores out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ensemble_htr.errors import AssetError, UsageError
from ensemble_htr.protocols import Decoder, TextScorer
from ensemble_htr.recognizers.folding import folded
from ensemble_htr.recognizers.frames import FrameReader, Impression, padded_width
from ensemble_htr.recognizers.inputs import has_fast_bf16
from ensemble_htr.recognizers.weights import Weights, load_weights
from ensemble_htr.recognizers.zoo import build_network

__all__ = ["CtcRecognizer", "Impression", "log_softmax", "padded_width"]

Precision = Literal["auto", "fp32"]


class CtcRecognizer(FrameReader):
    """A `FrameReader` whose network runs in torch.

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
        self.stretch = float(network.config.stretch)  # type: ignore[union-attr,arg-type]
        self.stride = int(network.config.pixels_per_frame)  # type: ignore[union-attr,arg-type]
        self.half = precision == "auto" and (self.device.type == "cuda" or has_fast_bf16())
        network = folded(network.to(self.device), self.half)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.decoder, self.scorer = decoder, scorer

    def _impressions(self, batch: NDArray[np.uint8], frames: Sequence[int]) -> list[Impression]:
        inputs = torch.from_numpy(batch).to(self.device).float() / 255.0
        return self._forward(inputs.contiguous(memory_format=torch.channels_last), frames)

    @torch.inference_mode()
    def _forward(self, inputs: torch.Tensor, frames: Sequence[int]) -> list[Impression]:
        """For each line its log posteriors ``(frames, 1 + V)`` and no memory."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            logits, _ = self.network(inputs)
        logp = log_softmax(logits)
        return [(row[:count], None) for row, count in zip(logp, frames, strict=True)]


def log_softmax(logits: torch.Tensor) -> NDArray[np.float32]:
    return np.asarray(torch.log_softmax(logits.float(), -1).cpu().numpy(), np.float32)
