"""A trained network made ready to read: nothing is worked out at each line that is the same for
all."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["folded"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_MULTIPLIES = (*_CONVOLUTIONS, nn.Linear, nn.LSTM)


def folded(network: nn.Module, half: bool) -> nn.Module:
    """``network``, changed in place: every batch norm that stands next to a convolution, behind it,
    becomes part of its weights (Jacob et al., CVPR 2018, section 3.2); where it is ``half``, the
    weights of what multiplies are rounded to bfloat16 once and not at each batch (autocast does the
    rest)."""
    network.eval()
    for module in network.modules():
        children = list(module.named_children())
        for (name, child), (after, norm) in zip(children, children[1:], strict=False):
            if isinstance(child, _CONVOLUTIONS) and isinstance(norm, _NORMS):
                assert child.out_channels == norm.num_features
                setattr(module, name, fuse_conv_bn_eval(child, norm))
                setattr(module, after, nn.Identity())
    for module in network.modules() if half else ():
        if isinstance(module, _MULTIPLIES):
            module.to(torch.bfloat16)
    return network
