"""Steps that make a page or a line easier to read, each of them switchable.

On the page, before lines are cut: denoise, flatten the background, deskew. On the cut line: remove
the slant, binarize. Deskewing turns pixels and geometry together; what goes out is always the
geometry that came in. All steps off is the identity, bit by bit.

The contrast of a line (paper to 0, darkest ink to 255) is not among them: `rectify` normalises it
always, since every recognizer is trained on such lines.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.layout.rectify import (
    Image,
    RectifyOptions,
    page_thickness,
    rectify_page,
    whole_image,
)
from ensemble_htr.layout.skew import Turn, skew_of, turned
from ensemble_htr.layout.slant import remove_slant
from ensemble_htr.types import Line

__all__ = [
    "LINE_STEPS",
    "PAGE_STEPS",
    "Prepared",
    "Preprocess",
    "cut_lines",
    "cut_whole",
    "line_step",
    "page_step",
    "prepare_page",
    "treat",
]

Denoiser = Literal["none", "median", "bilateral", "nlmeans"]
PAGE_STEPS = ("denoise", "flatten", "deskew")  # in the order in which they act
LINE_STEPS = ("deslant", "binarize")
_LEAST_SKEW = 0.15  # degrees; less is not worth interpolating the page once more


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Which steps act; table ``[preprocess]`` of an ensemble's model.toml and of a recipe."""

    denoise: Denoiser = "none"
    grain: float = 8.0  # the noise that denoise takes away: standard deviation in grey levels
    flatten: bool = False  # divide by the paper's own brightness: shadows, folds, stains
    deskew: bool = False  # turn the page so that its lines lie level
    deslant: bool = False  # shear each line so that its letters stand upright
    binarize: Literal["none", "sauvola"] = "none"
    sauvola_k: float = 0.2  # share of the spread by which the threshold lies below the mean

    def __post_init__(self) -> None:
        if not 0 < self.grain <= 100:
            raise ValueError(f"preprocess: grain is {self.grain}, wanted more than 0, at most 100")
        if not 0 <= self.sauvola_k <= 1:
            raise ValueError(f"preprocess: sauvola_k is {self.sauvola_k}, wanted 0 to 1")

    def acts(self, step: str) -> bool:
        """Whether one of `PAGE_STEPS` or `LINE_STEPS` is switched on."""
        return getattr(self, step) not in (False, "none")

    def only(self, step: str) -> Preprocess:
        """The same settings with ``step`` alone switched on (where off, in its usual form)."""
        usual: dict[str, object] = {"denoise": "bilateral", "binarize": "sauvola"}
        off: dict[str, object] = {"denoise": "none", "binarize": "none"}
        values = {s: off.get(s, False) for s in (*PAGE_STEPS, *LINE_STEPS)}
        values[step] = getattr(self, step) if self.acts(step) else usual.get(step, True)
        return dataclasses.replace(self, **values)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A page after its page steps: gray ``uint8 (H, W)`` and how it was turned (None: not)."""

    image: Image
    turn: Turn | None = None

    def lines(self, lines: Sequence[Line]) -> list[Line]:
        """``lines`` of the page as it came, in the pixels of ``image``."""
        return [self.turn.line(x) for x in lines] if self.turn else list(lines)

    def back(self, lines: Sequence[Line]) -> list[Line]:
        """``lines`` found in ``image``, in the pixels of the page as it came."""
        return [self.turn.line_back(x) for x in lines] if self.turn else list(lines)


def prepare_page(image: Image, options: Preprocess, thickness: float | None = None) -> Prepared:
    """Do the page steps that are on. ``image`` is gray ``uint8 (H, W)``, 0 = black; ``thickness``
    is that of its lines in px (see `page_thickness`; None = guessed from the page's size)."""
    size = thickness or _guess(image)
    page = Prepared(image)
    for step in PAGE_STEPS:
        if options.acts(step):
            page = page_step(step, page, options, size)
    return page


def page_step(step: str, page: Prepared, options: Preprocess, thickness: float) -> Prepared:
    """One of `PAGE_STEPS`, done; where ``options`` has it off, in its usual form."""
    options = options.only(step)
    if step == "deskew":
        angle = skew_of(page.image, thickness)
        return page if abs(angle) < _LEAST_SKEW else Prepared(*turned(page.image, angle))
    if step == "flatten":
        return Prepared(flattened(page.image, thickness), page.turn)
    return Prepared(denoised(page.image, options.denoise, options.grain), page.turn)


def treat(line: Line, options: Preprocess) -> Line:
    """The cut ``line`` with the line steps that are on done to its image."""
    for step in LINE_STEPS:
        if options.acts(step):
            line = line_step(step, line, options)
    return line


def line_step(step: str, line: Line, options: Preprocess) -> Line:
    """One of `LINE_STEPS`, done to a cut line; where ``options`` has it off, in its usual form."""
    assert line.image is not None
    if step == "deslant":
        return dataclasses.replace(line, image=remove_slant(line.image))
    return dataclasses.replace(line, image=sauvola(line.image, options.sauvola_k))


def cut_lines(
    image: Image,
    lines: Sequence[Line],
    options: Preprocess,
    rectify: RectifyOptions | None = None,
) -> list[Line]:
    """All ``lines`` of a gray page ``uint8 (H, W)`` cut out of the prepared page and treated; they
    keep the geometry that they came with."""
    page = prepare_page(image, options, page_thickness(lines))
    cut = rectify_page(page.image, page.lines(lines), rectify)
    return [
        dataclasses.replace(line, image=treat(done, options).image)
        for line, done in zip(lines, cut, strict=True)
    ]


def cut_whole(image: Image, line_id: str, options: Preprocess, height: int = 48) -> Line:
    """A ready-cut line image, prepared and treated; a single line is not deskewed."""
    page = prepare_page(image, dataclasses.replace(options, deskew=False), 0.65 * image.shape[0])
    return treat(whole_image(page.image, line_id, height), options)


# ---- the steps ----------------------------------------------------------------------------


def denoised(image: Image, how: Denoiser, grain: float) -> Image:
    """Smooth away noise of standard deviation ``grain`` (gray levels), keeping strokes sharp.

    ``median`` of 3 x 3 (specks), ``bilateral`` (Tomasi & Manduchi, ICCV 1998; grain),
    ``nlmeans`` (non-local means, Buades, Coll & Morel, CVPR 2005; grain, best and slowest).
    """
    import cv2

    if how == "median":
        return np.asarray(cv2.medianBlur(image, 3), np.uint8)
    if how == "bilateral":
        return np.asarray(cv2.bilateralFilter(image, 5, 3.0 * grain, 1.5), np.uint8)
    if how == "nlmeans":
        return np.asarray(cv2.fastNlMeansDenoising(image, None, 1.2 * grain, 5, 13), np.uint8)
    return image


def flattened(image: Image, thickness: float) -> Image:
    """The page divided by its own paper: shadows and stains go, paper becomes white.

    The paper's brightness is a closing (wider than any stroke, narrower than a shadow) followed
    by a median, both on a copy small enough that a line is 16 px thick.
    """
    import cv2

    height, width = image.shape
    scale = float(np.clip(16.0 / max(thickness, 1.0), 1.0 / max(height, width), 1.0))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    paper = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))
    paper = np.asarray(cv2.morphologyEx(paper, cv2.MORPH_CLOSE, disc), np.uint8)
    paper = np.asarray(cv2.GaussianBlur(cv2.medianBlur(paper, 21), (0, 0), 3.0), np.uint8)
    large = cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR)
    floor = np.maximum(large, 16)  # black borders stay black
    return np.asarray(cv2.divide(image, floor, scale=245.0), np.uint8)


def sauvola(ink: Image, k: float) -> Image:
    """Binarize a line ``uint8 (H, W)``, 0 = paper, by Sauvola's local threshold.

    T = m (1 + k (s / R - 1)) with mean m and spread s of the gray levels in a window of half the
    line's height, R = 128 (Sauvola & Pietikainen, Pattern Recognition 33, 2000). It is decided at
    twice the size and shrunk, so that edges stay smooth.
    """
    import cv2

    height, width = ink.shape
    double = (2 * width, 2 * height)
    gray = 255.0 - np.asarray(cv2.resize(ink, double, interpolation=cv2.INTER_CUBIC), np.float32)
    window = (height | 1, height | 1)
    mean = cv2.boxFilter(gray, cv2.CV_32F, window, borderType=cv2.BORDER_REPLICATE)
    square = cv2.boxFilter(gray * gray, cv2.CV_32F, window, borderType=cv2.BORDER_REPLICATE)
    spread = np.sqrt(np.maximum(square - mean * mean, 0.0))
    black = (gray < mean * (1 + k * (spread / 128.0 - 1))).astype(np.uint8) * 255
    return np.asarray(cv2.resize(black, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _guess(image: NDArray[np.uint8]) -> float:
    """A line's thickness on a page of which nothing is known: a thirtieth of its height."""
    return float(np.clip(image.shape[0] / 30.0, 12.0, 120.0))
