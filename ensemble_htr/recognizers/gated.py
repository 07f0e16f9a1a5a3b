"""``gated``: a fully convolutional gated network -> CTC, with no recurrence.

Every convolution decides twice: what to say and, through a sigmoid gate, whether to say it
(gated linear units: Dauphin et al., 2017; in handwriting: Bluche & Messina, ICDAR 2017, and
Yousef et al., 2020). Context comes from a stack of dilated one-dimensional gated convolutions, so
a frame sees about ten letters to each side and nothing beyond: unlike `crnn`, whose LSTM may carry
a guess along the line. That difference is what the ensemble lives on.

Frames are 4 input pixels wide at 40 px line height. Read `Gated.forward` from top to bottom.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Gated", "GatedConfig", "build"]


@dataclass(frozen=True, slots=True)
class GatedConfig:
    """Sizes of the network."""

    height: int = 40  # rows of the input image
    stretch: float = 1.0  # columns of it, for each that its height asks for
    stem: int = 32  # channels after the first convolution
    channels: tuple[int, int, int] = (32, 64, 128)  # of the three two-dimensional stages
    blocks: tuple[int, int, int] = (1, 2, 2)  # gated blocks per stage
    width: int = 256  # channels of the one-dimensional stack
    kernel: int = 5  # frames that one context convolution spans
    dilations: tuple[int, ...] = (1, 2, 4)  # of the context convolutions
    dropout: float = 0.2

    @property
    def pixels_per_frame(self) -> int:
        return 4


class Gate2d(nn.Module):
    """3x3 convolution, batch norm, and a gate; residual where the channels allow it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, 2 * outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(2 * outputs)
        self.residual = inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        say, whether = self.norm(self.convolution(x)).chunk(2, dim=1)
        y = torch.relu(say) * torch.sigmoid(whether)
        return x + y if self.residual else y


class Gate1d(nn.Module):
    """Dilated gated convolution along the line with a residual path."""

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.convolution = nn.Conv1d(
            width, 2 * width, kernel, padding=padding, dilation=dilation, bias=False
        )
        self.norm = nn.BatchNorm1d(2 * width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        say, whether = self.norm(self.convolution(self.dropout(x))).chunk(2, dim=1)
        return x + torch.tanh(say) * torch.sigmoid(whether)


class Gated(nn.Module):
    """Line images ``(B, 1, height, W)`` in [0, 1], 0 = paper, to CTC logits ``(B, W / 4, 1+V)``."""

    def __init__(self, config: GatedConfig, symbols: int) -> None:
        super().__init__()
        self.config = config
        c1, c2, c3 = config.channels
        self.stem = nn.Sequential(
            nn.Conv2d(1, config.stem, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(config.stem),
            nn.ReLU(),
        )
        self.stage1 = _stage(config.stem, c1, config.blocks[0])
        self.stage2 = _stage(c1, c2, config.blocks[1])
        self.stage3 = _stage(c2, c3, config.blocks[2])
        self.pool = nn.MaxPool2d(2)  # halves height and width
        self.squash = nn.MaxPool2d((2, 1))  # halves the height only
        self.collapse = nn.Sequential(  # a learned sum over each column keeps what stood where
            nn.Conv2d(c3, config.width, (config.height // 8, 1), bias=False),
            nn.BatchNorm2d(config.width),
            nn.ReLU(),
        )
        self.context = nn.Sequential(
            *(Gate1d(config.width, config.kernel, d, config.dropout) for d in config.dilations)
        )
        self.head = nn.Conv1d(config.width, 1 + symbols, 1)
        self.shortcut = nn.Conv1d(config.width, 1 + symbols, 1)  # auxiliary CTC, training only

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The logits of the main head and, in training, of the auxiliary one."""
        columns = self.columns(images)
        auxiliary = self.shortcut(columns).transpose(1, 2) if self.training else None
        return self.above(columns), auxiliary

    def columns(self, images: Tensor) -> Tensor:
        """What the CNN makes of each column: ``(B, width, W / 4)``."""
        x = self.stem(images)  # (B, stem, H/2, W/2)
        x = self.pool(self.stage1(x))  # (B, c1, H/4, W/4)
        x = self.squash(self.stage2(x))  # (B, c2, H/8, W/4)
        found: Tensor = self.collapse(self.stage3(x)).squeeze(2)
        return found

    def above(self, columns: Tensor) -> Tensor:
        """The logits ``(B, T, 1+V)`` for the CNN's columns ``(B, width, T)``."""
        return self.head(self.context(columns)).transpose(1, 2)


def _stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    widths = [inputs] + [outputs] * blocks
    return nn.Sequential(*(Gate2d(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True)))


def build(config: GatedConfig, symbols: int) -> Gated:
    """The network for an alphabet of ``symbols`` characters (the blank is added)."""
    return Gated(config, symbols)
