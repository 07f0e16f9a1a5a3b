"""``crnn``: residual CNN -> column max-pool -> BiLSTM -> CTC, with an auxiliary CTC shortcut.

The shape follows Retsinas et al., "Best practices for a handwritten text recognition system"
(DAS 2022): no reshaping of columns into channels but a maximum over each column, a recurrent
context on top, and a small convolutional CTC head on the columns that is used in training only
(it gives the CNN a gradient that does not pass through the LSTM). Ours is scaled for CPUs.

Frames are 4 input pixels wide at 48 px line height. Read `Columns.columns`, then `Crnn.forward`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Columns", "Crnn", "CrnnConfig", "build"]


@dataclass(frozen=True, slots=True)
class CrnnConfig:
    """Sizes of the network."""

    height: int = 48  # rows of the input image
    stretch: float = 1.0  # columns of it, for each that its height asks for
    stem: int = 16  # channels after the first convolution
    channels: tuple[int, int, int] = (32, 64, 128)  # of the three residual stages
    blocks: tuple[int, int, int] = (1, 2, 2)  # residual blocks per stage
    hidden: int = 192  # LSTM units per direction
    layers: int = 2  # LSTM layers
    dropout: float = 0.2

    @property
    def pixels_per_frame(self) -> int:
        return 4


class Residual(nn.Module):
    """Two 3x3 convolutions with batch norm and a shortcut (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        same = inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.first(x)))
        return torch.relu(self.norm2(self.second(y)) + self.shortcut(x))


class Columns(nn.Module):
    """The CNN: line images ``(B, 1, height, W)`` in [0, 1], 0 = paper, to a vector for every 4 px.

    A base class, so that networks with this CNN name its weights alike and can begin from one
    another's.
    """

    def __init__(
        self, stem: int, channels: tuple[int, int, int], blocks: tuple[int, int, int]
    ) -> None:
        super().__init__()
        c1, c2, c3 = channels
        self.stem = nn.Sequential(
            nn.Conv2d(1, stem, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(),
        )
        self.stage1 = _stage(stem, c1, blocks[0])
        self.stage2 = _stage(c1, c2, blocks[1])
        self.stage3 = _stage(c2, c3, blocks[2])
        self.pool = nn.MaxPool2d(2)  # halves height and width
        self.squash = nn.MaxPool2d((2, 1))  # halves the height only

    def columns(self, images: Tensor) -> Tensor:
        """The strongest answer in each column: ``(B, c3, W / 4)``."""
        x = self.stem(images)  # (B, stem, H/2, W/2)
        x = self.pool(self.stage1(x))  # (B, c1, H/4, W/4)
        x = self.squash(self.stage2(x))  # (B, c2, H/8, W/4)
        return self.stage3(x).amax(dim=2)


class Crnn(Columns):
    """Line images ``(B, 1, height, W)`` in [0, 1], 0 = paper, to CTC logits ``(B, W / 4, 1+V)``."""

    def __init__(self, config: CrnnConfig, symbols: int) -> None:
        super().__init__(config.stem, config.channels, config.blocks)
        self.config = config
        c3 = config.channels[-1]
        self.dropout = nn.Dropout(config.dropout)
        self.lstm = nn.LSTM(
            c3,
            config.hidden,
            config.layers,
            bidirectional=True,
            batch_first=True,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.head = nn.Linear(2 * config.hidden, 1 + symbols)
        self.shortcut = nn.Conv1d(c3, 1 + symbols, 3, padding=1)  # auxiliary CTC, training only

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The logits of the main head and, in training, of the auxiliary one."""
        columns = self.columns(images)  # (B, c3, W/4)
        auxiliary = self.shortcut(columns).transpose(1, 2) if self.training else None
        return self.above(columns), auxiliary

    def above(self, columns: Tensor) -> Tensor:
        """The logits ``(B, T, 1+V)`` for the CNN's columns ``(B, c3, T)``."""
        context, _ = self.lstm(self.dropout(columns.transpose(1, 2)))  # (B, W/4, 2*hidden)
        logits: Tensor = self.head(self.dropout(context))
        return logits


def _stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    """``blocks`` residual blocks, the first of which changes the number of channels."""
    widths = [inputs] + [outputs] * blocks
    return nn.Sequential(*(Residual(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True)))


def build(config: CrnnConfig, symbols: int) -> Crnn:
    """The network for an alphabet of ``symbols`` characters (the blank is added)."""
    return Crnn(config, symbols)
