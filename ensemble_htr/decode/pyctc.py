"""pyctcdecode behind the `Decoder` protocol: a beam with a *word* n-gram and hotwords.

It asks its language model only where a word ends, so it errs in another way than our character
beam: a reading of another kind for the vote, and a cross-check of ours. The library collapses
double spaces and strips the ends of a line. Optional: extra ``[pyctcdecode]``.
"""

from __future__ import annotations

import importlib
import logging
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ensemble_htr.decode._posteriors import Span, checked
from ensemble_htr.decode.forced import ctc_align
from ensemble_htr.errors import AssetError, InputError, MissingDependencyError
from ensemble_htr.text import graphemes
from ensemble_htr.types import Hypothesis, Posteriors

__all__ = ["PyctcDecoder"]

# The library takes these symbols for spaces or word-piece marks; they travel under a private name.
_MISREAD = {"|": "\ue000", "▁": "\ue001", "_": "\ue002", "⁇": "\ue003"}
_RESTORED = str.maketrans({private: symbol for symbol, private in _MISREAD.items()})


class PyctcDecoder:
    """Decodes with `pyctcdecode.build_ctcdecoder`, once built for each alphabet that it meets.

    ``arpa`` is a KenLM-readable word n-gram, ``alpha`` its weight (natural log), ``beta`` the nats
    added per word; ``hotwords`` are preferred with ``hotword_weight`` nats each. ``beam`` is the
    number of prefixes kept. Raises `MissingDependencyError` where the library (or kenlm, for an
    ARPA file) is not installed, `AssetError` where the ARPA file cannot be loaded.
    """

    def __init__(
        self,
        arpa: Path | None = None,
        hotwords: Sequence[str] = (),
        *,
        alpha: float = 0.5,
        beta: float = 1.5,
        hotword_weight: float = 10.0,
        beam: int = 100,
        source: str = "pyctcdecode",
    ) -> None:
        self.source = source
        self._arpa = arpa
        self._hotwords = [unicodedata.normalize("NFC", word) for word in hotwords]
        self._alpha, self._beta = alpha, beta
        self._hotword_weight = hotword_weight
        self._beam = beam
        self._library = _library(arpa)
        self._decoders: dict[tuple[str, ...], Any] = {}

    def decode(self, posteriors: Posteriors, n_best: int = 1) -> list[Hypothesis]:
        """Distinct texts, best first; ``score`` is the library's (CTC and LM together).

        Log-probabilities and spans come from our own forced alignment, and are None where the
        text cannot be aligned. Raises `InputError` if the posteriors hold NaN.
        """
        informed = self._arpa is not None or bool(self._hotwords)
        logp = checked(posteriors)
        if not len(logp):
            return [Hypothesis(self.source, (), (), (), score=0.0, lm=informed)]
        beams = self._decoder(posteriors.alphabet).decode_beams(
            np.maximum(logp, -100.0),  # it cannot take -inf
            beam_width=max(self._beam, n_best),
            hotwords=self._hotwords or None,
            hotword_weight=self._hotword_weight,
        )
        scores: dict[str, float] = {}
        for text, *_, score in beams:
            scores.setdefault(text.translate(_RESTORED), float(score))
        ranked = sorted(scores.items(), key=lambda item: -item[1])[:n_best]
        return [self._hypothesis(posteriors, text, score, informed) for text, score in ranked]

    def _decoder(self, alphabet: tuple[str, ...]) -> Any:
        if alphabet not in self._decoders:
            try:
                self._decoders[alphabet] = self._library.build_ctcdecoder(
                    ["", *(_MISREAD.get(symbol, symbol) for symbol in alphabet)],
                    kenlm_model_path=None if self._arpa is None else str(self._arpa),
                    alpha=self._alpha,
                    beta=self._beta,
                )
            except (OSError, ValueError, RuntimeError) as error:
                what = "this alphabet" if self._arpa is None else str(self._arpa)
                reason = str(error).rpartition("Exception. ")[2].rstrip(").")  # KenLM tells more
                raise AssetError(f"pyctcdecode cannot use {what}: {reason}") from None
        return self._decoders[alphabet]

    def _hypothesis(
        self, posteriors: Posteriors, text: str, score: float, informed: bool
    ) -> Hypothesis:
        tokens = graphemes(text)
        logprobs: tuple[float, ...] | None
        spans: tuple[Span, ...] | None
        try:
            logprobs, spans = ctc_align(posteriors, tokens)
        except InputError:
            logprobs = spans = None
        return Hypothesis(self.source, tokens, logprobs, spans, score, lm=informed)


def _library(arpa: Path | None) -> Any:
    """Import pyctcdecode without its chatter on stderr."""
    logging.getLogger("pyctcdecode").setLevel(logging.ERROR)
    purpose = "decoding with a word n-gram or hotwords"
    try:
        library = importlib.import_module("pyctcdecode")
    except ImportError:
        raise MissingDependencyError("pyctcdecode", "pyctcdecode", purpose) from None
    if arpa is not None:
        if not arpa.is_file():
            raise AssetError(f"{arpa}: no such language model; wanted an ARPA or KenLM file")
        try:
            importlib.import_module("kenlm")
        except ImportError:
            raise MissingDependencyError("kenlm", "kenlm", f"reading {arpa.name}") from None
    return library
