"""The training recipe: everything that decides how a recognizer comes out, in one TOML file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ensemble_htr.config import load_toml
from ensemble_htr.layout.preprocess import Preprocess

__all__ = [
    "AugmentOptions",
    "DataOptions",
    "PasteOptions",
    "PastedText",
    "Recipe",
    "Source",
    "TrainOptions",
    "load_recipe",
]


@dataclass(frozen=True, slots=True)
class Source:
    """One folder of pages (relative to the data root) and its share of the sampled lines."""

    path: str  # for example "fr19/train"
    share: float = 1.0  # relative to the other sources


@dataclass(frozen=True, slots=True)
class DataOptions:
    train: tuple[Source, ...]
    val: str  # folder of pages: early stopping only
    profile: str = "fr-archive"
    height: int = 48  # px of the rectified lines that are kept in memory or in the pack
    hand_power: float = 0.6  # a hand with n lines is sampled in proportion to n ** hand_power
    letterless: float = 0.5  # weight of a line without a letter
    rarest: int = 2  # characters seen less often do not enter the alphabet

    def __post_init__(self) -> None:
        if not self.train:
            raise ValueError("data: train names no folder")
        if not 8 <= self.height <= 512:
            raise ValueError(f"data: height is {self.height}, wanted 8 to 512 px")
        if self.letterless < 0 or any(source.share < 0 for source in self.train):
            raise ValueError("data: shares and letterless must not be negative")


@dataclass(frozen=True, slots=True)
class AugmentOptions:
    """Strengths; 0 switches a distortion off. Angles in degrees, lengths in shares of height."""

    probability: float = 0.85  # that a line is distorted at all
    slant: float = 14.0  # standard deviation of the shear angle
    rotation: float = 0.7  # standard deviation of the rotation
    scale: float = 0.09  # log standard deviation of the letter size
    stretch: float = 0.10  # log standard deviation of the width
    shift: float = 0.05  # of the vertical position
    elastic: float = 0.035  # amplitude of the elastic distortion
    elastic_step: float = 0.45  # distance of its control points
    stroke: float = 0.25  # probability of thicker or thinner strokes
    contrast: float = 0.3  # log standard deviation of the gamma curve
    noise: float = 0.05  # standard deviation of the grain
    blur: float = 0.15  # probability of a slight blur
    erase: float = 0.15  # probability of one vertical strip going pale

    def __post_init__(self) -> None:
        for option in fields(self):
            if not 0 <= (value := getattr(self, option.name)) < math.inf:
                raise ValueError(f"augment: {option.name} is {value}, wanted 0 or more")
        if self.elastic and self.elastic_step < 0.05:
            raise ValueError(f"augment: elastic_step is {self.elastic_step}, wanted 0.05 or more")


@dataclass(frozen=True, slots=True)
class PastedText:
    """One file of text (relative to the data root) and its share of the pasted lines."""

    path: str  # for example "text-fr/novels_1840_1920.txt.xz"
    share: float = 1.0  # relative to the other texts
    wrap: int = 0  # break running text into lines of about so many characters; 0 = as it is


@dataclass(frozen=True, slots=True)
class PasteOptions:
    """Texts without images, pasted together from what the CNN made of lines (`train.pasting`)."""

    texts: tuple[PastedText, ...] = ()  # none: nothing is pasted
    share: float = 0.7  # frames of pasted lines for each of the lines read
    weight: float = 0.5  # of their loss
    keep: int = 1500  # lines that the pieces are cut from: the last ones read

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"paste: keep is {self.keep}, wanted 1 or more")
        for name in ("share", "weight"):
            if not 0 < (value := getattr(self, name)) < math.inf:
                raise ValueError(f"paste: {name} is {value}, wanted more than 0")
        if any(not 0 < text.share < math.inf or text.wrap < 0 for text in self.texts):
            raise ValueError("paste: shares of texts must be more than 0, wrap not negative")


@dataclass(frozen=True, slots=True)
class TrainOptions:
    seed: int = 1
    epochs: int = 15
    lines_per_epoch: int = 10_000  # lines sampled (with per-hand weights) in one epoch
    batch_pixels: int = 7_200  # padded width of a batch in px of the network's input
    rate: float = 2e-3  # peak learning rate (AdamW)
    warmup: float = 0.03  # share of all steps
    final: float = 0.01  # last learning rate as a share of the peak
    decay: float = 0.02  # weight decay
    clip: float = 5.0  # largest gradient norm
    auxiliary: float = 0.3  # weight of the shortcut's CTC loss
    attention: float = 1.0  # weight of the decoder's cross-entropy, where a network has a decoder
    smoothing: float = 0.05  # of its targets (label smoothing)
    wrong_prefix: float = 0.05  # share of the characters before that it is shown wrongly
    init: str = ""  # recognizer (or file) to begin from: tensors of one name and shape are taken
    ema: float = 0.998  # decay of the weight average
    patience: int = 8  # epochs without a better val CER before stopping early
    frozen_norms: bool = False  # batch norms keep what they began with: few lines would spoil it
    short_first: float = 1.0  # epochs during which only the narrower half of the lines is read
    checkpoint_minutes: float = 5.0
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "lines_per_epoch", "batch_pixels", "patience", "threads"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"train: {name} is {value}, wanted 1 or more")
        for name in ("rate", "clip"):
            if not 0 < (value := getattr(self, name)) < math.inf:
                raise ValueError(f"train: {name} is {value}, wanted more than 0")
        for name in (
            *("seed", "short_first", "warmup", "final", "decay", "auxiliary"),
            "attention",
        ):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise ValueError(f"train: {name} is {value}, wanted 0 or more")
        for name in ("ema", "smoothing", "wrong_prefix"):
            if not 0 <= (value := getattr(self, name)) < 1:
                raise ValueError(f"train: {name} is {value}, wanted 0 <= {name} < 1")


@dataclass(frozen=True, slots=True)
class Recipe:
    architecture: str
    data: DataOptions
    network: Mapping[str, Any] = field(default_factory=dict)
    augment: AugmentOptions = AugmentOptions()
    paste: PasteOptions = PasteOptions()
    train: TrainOptions = TrainOptions()
    preprocess: Preprocess = Preprocess()  # of all lines, before they are packed or distorted
    description: str = ""


def load_recipe(path: Path) -> Recipe:
    """Read a recipe strictly: unknown keys and wrong types raise `ConfigError` with a hint."""
    return load_toml(path, Recipe)
