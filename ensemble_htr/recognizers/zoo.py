"""Which networks there are, and what of the world they need: a config, an alphabet, weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ensemble_htr.config import from_mapping
from ensemble_htr.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ARCHITECTURES", "build_network"]

ARCHITECTURES = ("crnn", "gated")


def build_network(architecture: str, config: dict[str, Any], symbols: int) -> nn.Module:
    """The untrained network called ``architecture`` with strict ``config`` (unknown keys raise
    `ConfigError`) for ``symbols`` characters; an unknown name raises `UsageError`."""
    if architecture == "crnn":
        from ensemble_htr.recognizers import crnn

        return crnn.build(from_mapping(config, crnn.CrnnConfig, "crnn network"), symbols)
    if architecture == "gated":
        from ensemble_htr.recognizers import gated

        return gated.build(from_mapping(config, gated.GatedConfig, "gated network"), symbols)
    raise UsageError(
        f"unknown architecture '{architecture}'{did_you_mean(architecture, ARCHITECTURES)}"
    )
