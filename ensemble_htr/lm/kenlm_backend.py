"""KenLM (K. Heafield 2011) behind our protocol: the fast backend.

KenLM speaks log10 and writes into mutable states; at this border it becomes natural logarithms and
states that nobody writes to again.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from ensemble_htr.errors import AssetError, MissingDependencyError
from ensemble_htr.lm.symbols import EOS, visible

__all__ = ["MAX_ORDER", "KenLMModel", "available"]

LN10 = math.log(10.0)
MAX_ORDER = 6  # compiled into the usual builds


def available() -> bool:
    """Whether KenLM is installed and loads."""
    try:
        import kenlm  # noqa: F401
    except ImportError:
        return False
    return True


class _Symbols(dict[str, str]):
    """Token -> ARPA symbol, computed once."""

    def __missing__(self, token: str) -> str:
        symbol = visible(token)
        if len(self) < 1 << 16:
            self[token] = symbol
        return symbol


class KenLMModel:
    """A `LanguageModel` over an ARPA or KenLM binary file.

    Raises `AssetError` if it is unusable, `MissingDependencyError` without KenLM.
    """

    def __init__(self, path: Path) -> None:
        try:
            import kenlm
        except ImportError:
            raise MissingDependencyError("kenlm", "kenlm", "the KenLM backend") from None
        config: Any = kenlm.Config()
        config.show_progress = False
        config.arpa_complain = kenlm.ARPALoadComplain.NONE
        try:
            self._model: Any = kenlm.Model(str(path), config)
        except (OSError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise AssetError(f"{path}: KenLM cannot load this language model: {reason}") from None
        self.order: int = self._model.order
        self._base: Any = self._model.BaseScore
        self._state: Any = kenlm.State
        self._symbols = _Symbols()

    def start(self) -> Hashable:
        state: Hashable = self._state()
        self._model.BeginSentenceWrite(state)
        return state

    def score(self, state: Hashable, token: str) -> tuple[float, Hashable]:
        after = self._state()
        logp = self._base(state, self._symbols[token], after) * LN10
        return (logp if logp < 0.0 else 0.0), after

    def end(self, state: Hashable) -> float:
        logp = self._base(state, EOS, self._state()) * LN10
        return float(logp if logp < 0.0 else 0.0)
