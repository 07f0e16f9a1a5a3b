"""ensemble-htr: several recognizers read a line together, and say how sure they are.

The public root: the nouns (`ensemble_htr.types`), the verbs (`ensemble_htr.protocols`) and the
errors (`ensemble_htr.errors`), loaded when first asked for so that importing the package is free.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ensemble_htr.errors import AssetError as AssetError
    from ensemble_htr.errors import EnsembleError as EnsembleError
    from ensemble_htr.errors import InputError as InputError
    from ensemble_htr.errors import UsageError as UsageError
    from ensemble_htr.protocols import Aligner as Aligner
    from ensemble_htr.protocols import Combiner as Combiner
    from ensemble_htr.protocols import Decoder as Decoder
    from ensemble_htr.protocols import LanguageModel as LanguageModel
    from ensemble_htr.protocols import Recognizer as Recognizer
    from ensemble_htr.protocols import Rescorer as Rescorer
    from ensemble_htr.types import EPSILON as EPSILON
    from ensemble_htr.types import Arc as Arc
    from ensemble_htr.types import ConfusionNetwork as ConfusionNetwork
    from ensemble_htr.types import Hypothesis as Hypothesis
    from ensemble_htr.types import Line as Line
    from ensemble_htr.types import Page as Page
    from ensemble_htr.types import Posteriors as Posteriors
    from ensemble_htr.types import Reading as Reading
    from ensemble_htr.types import Slot as Slot
    from ensemble_htr.types import Word as Word

__version__ = "0.1.0"

_HOMES = {
    "errors": ("AssetError", "EnsembleError", "InputError", "UsageError"),
    "protocols": (
        "Aligner",
        "Combiner",
        "Decoder",
        "LanguageModel",
        "Recognizer",
        "Rescorer",
    ),
    "types": (
        "EPSILON",
        "Arc",
        "ConfusionNetwork",
        "Hypothesis",
        "Line",
        "Page",
        "Posteriors",
        "Reading",
        "Slot",
        "Word",
    ),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_MODULE_OF)]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"ensemble_htr.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'ensemble_htr' has no attribute '{name}'")


def __dir__() -> list[str]:
    return list(__all__)
