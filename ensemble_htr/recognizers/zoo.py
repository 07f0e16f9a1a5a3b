"""Which networks there are, and what of the world they need: a config, an alphabet, weights."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from ensemble_htr.config import from_mapping
from ensemble_htr.errors import ConfigError, UsageError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ARCHITECTURES", "STRETCH", "build_network"]

ARCHITECTURES = ("crnn", "gated", "transformer")
STRETCH = (0.5, 3.0)  # how much narrower or wider than it is a line may be read
_SMALL = ("blocks", "layers", "kernel", "heads", "encoder", "decoder", "language")
_MAY_LACK = ("language",)  # 0 = a part that the network does without
LARGEST = 1024  # channels, units or rows; weights from elsewhere must not exhaust the memory

C = TypeVar("C")


def build_network(architecture: str, config: dict[str, Any], symbols: int) -> nn.Module:
    """The untrained network called ``architecture`` for ``symbols`` characters.

    ``config`` is strict: an unknown key, a wrong type or an absurd size raises `ConfigError`; an
    unknown name raises `UsageError` with the choices.
    """
    if architecture == "crnn":
        from ensemble_htr.recognizers import crnn

        return crnn.build(_sane(from_mapping(config, crnn.CrnnConfig, "crnn network")), symbols)
    if architecture == "gated":
        from ensemble_htr.recognizers import gated

        sizes = _sane(from_mapping(config, gated.GatedConfig, "gated network"))
        if sizes.kernel % 2 == 0:
            raise ConfigError(f"gated network: kernel is {sizes.kernel}, wanted an odd number")
        return gated.build(sizes, symbols)
    if architecture == "transformer":
        from ensemble_htr.recognizers import transformer

        form = _sane(from_mapping(config, transformer.TransformerConfig, "transformer network"))
        if form.kernel % 2 == 0:
            raise ConfigError(f"transformer network: kernel is {form.kernel}, wanted an odd number")
        if form.width % (2 * form.heads):
            raise ConfigError(
                f"transformer network: width is {form.width}, wanted a multiple of 2 x heads"
            )
        return transformer.build(form, symbols)
    raise UsageError(
        f"unknown architecture '{architecture}'{did_you_mean(architecture, ARCHITECTURES)}"
    )


def _sane(config: C) -> C:
    """``config`` if every size in it makes a network; else raises `ConfigError`."""
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if field.name == "dropout":
            if not 0.0 <= value < 1.0:
                raise ConfigError(f"network: dropout is {value}, wanted 0 <= dropout < 1")
        elif field.name == "stretch":
            if not STRETCH[0] <= value <= STRETCH[1]:
                raise ConfigError(
                    f"network: stretch is {value}, wanted {STRETCH[0]:g} to {STRETCH[1]:g}"
                )
        elif field.name == "height" and (value % 8 or not 16 <= value <= 256):
            raise ConfigError(f"network: height is {value}, wanted a multiple of 8 from 16 to 256")
        else:
            sizes = value if isinstance(value, tuple) else (value,)
            least = 0 if field.name in _MAY_LACK else 1
            most = 16 if field.name in _SMALL else LARGEST
            if not 0 < len(sizes) <= 16 or not all(least <= size <= most for size in sizes):
                raise ConfigError(f"network: {field.name} is {value}, wanted {least} to {most}")
    return config
