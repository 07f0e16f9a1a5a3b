"""``onnx``: a CTC network that was exported, run by ONNX Runtime. No torch.

A recognizer's folder then holds ``model.onnx`` and ``model.json``. The network takes ``images``,
``float32 (B, 1, height, W)``, 0 = paper and 1 = ink, ``W`` a multiple of 16, and gives ``logp``,
``float32 (B, W / pixels_per_frame, 1 + V)``: natural logarithms, column 0 the blank, column
``i + 1`` ``alphabet[i]``. Networks that look at a whole line (the encoder of a transformer) also
take ``frames``, ``int64 (B,)``: how many of each line are not padding. ``model.json`` has, beside
``format``:

* ``architecture``, ``profile``, ``alphabet`` (grapheme clusters), ``height`` and
  ``pixels_per_frame`` (px of the network's input), ``stretch`` (1 where it is missing: the
  line's aspect ratio is kept);
* ``preprocessing``: in words, what is done to a line's image before;
* ``onnx``: ``sha256`` and ``bytes`` of ``model.onnx``, its ``opset``; ``source``: ``sha256`` of the
  weights that were exported; ``difference``: the greatest between the log posteriors of the two.

The network is compared with its hash before it is loaded, and loaded from memory, so that it cannot
name files beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.errors import AssetError, InputError, MissingDependencyError
from ensemble_htr.protocols import Decoder, TextScorer
from ensemble_htr.recognizers.frames import FrameReader, Impression
from ensemble_htr.recognizers.zoo import STRETCH

__all__ = ["FORMAT", "NETWORK", "WORDS", "OnnxRecognizer", "build"]

FORMAT = "ensemble-htr-onnx-1"
NETWORK, WORDS = "model.onnx", "model.json"
LARGEST = 128 << 20  # bytes of a network
_WORDS_LARGEST = 1 << 20


class OnnxRecognizer(FrameReader):
    """A `FrameReader` whose network runs in ONNX Runtime, on the CPU, in one thread.

    Raises `MissingDependencyError` without ``onnxruntime``, `AssetError` for files that are
    missing, damaged or do not belong together.
    """

    def __init__(self, name: str, path: Path, *, decoder: Decoder, scorer: TextScorer) -> None:
        self.name, self.decoder, self.scorer = name, decoder, scorer
        words = _words(path.with_name(WORDS))
        try:
            self.alphabet = tuple(words["alphabet"])
            self.profile = str(words["profile"])
            self.height, self.stride = int(words["height"]), int(words["pixels_per_frame"])
            self.stretch = float(words.get("stretch", 1.0))
            wanted = str(words["onnx"]["sha256"])
            good = 8 <= self.height <= 512 and 1 <= self.stride <= 16
            good = good and STRETCH[0] <= self.stretch <= STRETCH[1]
            if not good or not all(isinstance(c, str) and c for c in self.alphabet):
                raise ValueError("absurd sizes or an alphabet that is none")
        except (KeyError, TypeError, ValueError) as error:
            raise AssetError(f"{path.with_name(WORDS)}: damaged ({error!r})") from None
        self.facts: Mapping[str, Any] = words
        self._session = _session(path, wanted)
        self._counts = "frames" in {each.name for each in self._session.get_inputs()}

    def _impressions(self, batch: NDArray[np.uint8], frames: Sequence[int]) -> list[Impression]:
        asked = {"images": batch.astype(np.float32) / 255.0}
        if self._counts:
            asked["frames"] = np.array(frames, np.int64)
        try:
            (found,) = self._session.run(None, asked)
        except Exception as error:  # its own, of many kinds
            raise InputError(
                f"{self.name}: ONNX Runtime does not read lines of {batch.shape[3]} columns: cut "
                "them, or read with torch"
            ) from error
        logp = np.asarray(found, np.float32)
        if logp.ndim != 3 or logp.shape[2] != 1 + len(self.alphabet):
            raise AssetError(f"{self.name}: the network's answer does not fit its alphabet")
        return [(row[:count], None) for row, count in zip(logp, frames, strict=True)]


def build(name: str, path: Path, *, decoder: Decoder, scorer: TextScorer) -> OnnxRecognizer:
    """The recognizer ``name`` of the exported network in ``path`` (``model.onnx``)."""
    return OnnxRecognizer(name, path, decoder=decoder, scorer=scorer)


def _words(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _WORDS_LARGEST:
            raise AssetError(f"{path}: too large for the description of a network")
        words = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AssetError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise AssetError(f"{path}: is no JSON; export the network again") from None
    if not isinstance(words, dict) or words.get("format") != FORMAT:
        raise AssetError(f"{path}: describes no exported network (wanted format '{FORMAT}')")
    return words


def _session(path: Path, wanted: str) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingDependencyError(
            "ONNX Runtime", "onnx", "reading with exported networks"
        ) from None
    try:
        if path.stat().st_size > LARGEST:
            raise AssetError(f"{path}: {path.stat().st_size >> 20} MB is too large for a network")
        data = path.read_bytes()
    except OSError as error:
        raise AssetError(f"{path}: cannot be read: {error.strerror or error}") from None
    if hashlib.sha256(data).hexdigest() != wanted:
        raise AssetError(f"{path}: is not the network that {WORDS} describes; export it again")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own, of many kinds
        reason = " ".join(str(error).split())[:120]
        raise AssetError(f"{path}: ONNX Runtime does not take it ({reason})") from None
