"""Distortions of line images ``uint8 (H, W)``, 0 = paper: one geometric remap, then ink effects."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ensemble_htr.train.recipe import AugmentOptions

__all__ = ["augment"]

Image = NDArray[np.uint8]


def augment(image: Image, options: AugmentOptions, rng: np.random.Generator) -> Image:
    """A distorted copy of the same height; the width may change. Deterministic in ``rng``."""
    if rng.random() >= options.probability or image.shape[1] < 4:
        return image
    return _ink(_geometry(image, options, rng), options, rng)


def _geometry(image: Image, o: AugmentOptions, rng: np.random.Generator) -> Image:
    """Slant, rotation, scale, stretch, shift and elastic distortion in one interpolation.

    The elastic field is a coarse random grid, enlarged smoothly (Simard et al., ICDAR 2003).
    """
    height, width = image.shape
    shear = np.tan(np.radians(np.clip(rng.normal(0, o.slant), -35, 35))) if o.slant else 0.0
    # Rotating a long line would push its ends out of the strip: bound the rise.
    angle = np.clip(rng.normal(0, o.rotation), -1.5, 1.5) * min(1.0, 8 * height / width)
    rise = np.tan(np.radians(angle))
    size = float(np.exp(np.clip(rng.normal(0, o.scale), -0.25, 0.25)))
    stretch = float(np.exp(np.clip(rng.normal(0, o.stretch), -0.3, 0.3))) * size
    drop = rng.normal(0, o.shift) * height
    new_width = max(8, round(width * stretch + abs(shear) * height * 0.5))
    ys, xs = np.mgrid[0:height, 0:new_width].astype(np.float32)
    u, v = xs - new_width / 2, ys - height / 2
    map_x = (u + shear * v) / stretch + width / 2
    map_y = (v - rise * u - drop) / size + height / 2
    if o.elastic:
        rows = max(2, round(1 / o.elastic_step) + 1)
        grid = (rows, max(2, round(new_width / (o.elastic_step * height)) + 1))
        for field in (map_x, map_y):
            coarse = rng.normal(0, o.elastic * height, grid).astype(np.float32)
            field += cv2.resize(coarse, (new_width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(
        cv2.remap(
            image,
            np.ascontiguousarray(map_x, np.float32),
            np.ascontiguousarray(map_y, np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0,
        ),
        np.uint8,
    )


def _ink(image: Image, o: AugmentOptions, rng: np.random.Generator) -> Image:
    """Stroke width, blur, gamma, fading strip and grain."""
    if rng.random() < o.stroke:
        kernel = np.ones((2, 2), np.uint8)
        thicken = rng.random() < 0.5
        image = np.asarray((cv2.dilate if thicken else cv2.erode)(image, kernel), np.uint8)
    if rng.random() < o.blur:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 0.9)), np.uint8)
    ink = image.astype(np.float32) / 255.0
    if o.contrast:
        ink **= float(np.exp(np.clip(rng.normal(0, o.contrast), -0.8, 0.8)))
    width = ink.shape[1]
    if rng.random() < o.erase and width > 32:
        strip = int(rng.integers(3, 13))
        at = int(rng.integers(0, width - strip))
        ink[:, at : at + strip] *= rng.uniform(0.0, 0.6)
    if o.noise:
        strength = abs(rng.normal(0, o.noise))
        ink += rng.standard_normal(ink.shape, np.float32) * strength
    return np.clip(ink * 255.0, 0, 255).astype(np.uint8)
