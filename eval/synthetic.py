"""Lines of period text written in handwriting fonts: material for a trial of `trials.py`.

The fonts are Debian's (packages ``fonts-`` dancingscript, kaushanscript, ecolier-court, kristi,
femkeklaver, breip, dkg-handwriting, sjfonts, havana): those that are installed are used, where they
have every character of a line. The crops look as rectified ones do:
48 rows, ink on 0, the baseline two thirds down, what reaches beyond cut off.
"""

from __future__ import annotations

import lzma
import random
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from fontTools.ttLib import TTFont
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ensemble_htr.text import profile
from ensemble_htr.train.data import Sample

__all__ = ["SOURCE", "synthetic_lines"]

SOURCE = "synthetic"
HEIGHT, BASELINE = 48, 33  # rows
X_HEIGHT = (12, 19)  # rows of a small letter
FOLDERS = ("/usr/share/fonts",)
NAMES = (
    "SteveHand", "Kristi", "dkg", "dkgIt", "Ecolier-court", "Breip", "femkeklaver",
    "DancingScript-Regular", "Havana-Regular", "KaushanScript-Regular",
)  # fmt: skip


def synthetic_lines(texts: Path, count: int, seed: int = 7) -> list[Sample]:
    """``count`` lines of the texts in a folder (``*.txt.xz``), each in some font of those here.

    Raises FileNotFoundError where no font is installed.
    """
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    fonts = {
        path.stem: (path, set(TTFont(path).getBestCmap()))
        for folder in FOLDERS
        for path in sorted(Path(folder).rglob("*.[ot]tf"))
        if path.stem in NAMES
    }
    if not fonts:
        raise FileNotFoundError("none of the handwriting fonts is installed (see synthetic.py)")
    found: list[Sample] = []
    for text in _lines(texts, rng):
        able = [n for n, (_, known) in fonts.items() if set(map(ord, text)) <= known]
        if not able:
            continue
        name = rng.choice(able)
        image = _written(text, fonts[name][0], rng, noise)
        found.append(Sample(f"{name}/{len(found)}", name, name, SOURCE, text, image))
        if len(found) == count:
            break
    return found


def _lines(folder: Path, rng: random.Random) -> Iterator[str]:
    """Pieces of 15 to 60 characters from all texts, each text as often as any other."""
    form = profile("fr-archive")
    texts = []
    for path in sorted(folder.glob("*.txt.xz")):
        with lzma.open(path, "rt", encoding="utf-8") as file:
            texts.append(form.apply(" ".join(file.read(4_000_000).split())))
    while True:
        text = rng.choice(texts)
        at = rng.randrange(max(1, len(text) - 60))
        words = text[at : at + rng.randint(15, 60)].split(" ")[1:-1]
        if len(words) > 1:
            yield " ".join(words)


def _written(
    text: str, path: Path, rng: random.Random, noise: np.random.Generator
) -> NDArray[np.uint8]:
    """The crop ``uint8 (48, W)`` of a line: letters of one size, a wandering baseline, strokes of
    some width, drawn at four times the size and shrunk."""
    scale = 4
    trial = ImageFont.truetype(str(path), 100)
    top, bottom = trial.getbbox("x", anchor="ls")[1::2]
    size = 100 * scale * rng.uniform(*X_HEIGHT) / max(1, bottom - top)
    font = ImageFont.truetype(str(path), round(size))
    width = round(font.getlength(text)) + 24 * scale
    image = Image.new("L", (width, HEIGHT * scale), 0)
    draw = ImageDraw.Draw(image)
    draw.text((12 * scale, BASELINE * scale), text, fill=255, font=font, anchor="ls")
    drawn = np.asarray(image)
    strokes = rng.choice((0, 0, 2, 3))
    if strokes:
        drawn = cv2.dilate(drawn, np.ones((strokes, strokes), np.uint8))
    # the baseline wanders by a row or two over the line
    knots = noise.normal(0, 1.2 * scale, max(2, width // (60 * scale)))
    rise = cv2.resize(knots[None].astype(np.float32), (width, 1), interpolation=cv2.INTER_CUBIC)
    ys, xs = np.mgrid[0 : HEIGHT * scale, 0:width].astype(np.float32)
    drawn = cv2.remap(drawn, xs, ys + rise, cv2.INTER_LINEAR)
    squeezed = max(16, round(width / scale * rng.uniform(0.7, 1.05)))
    small = cv2.resize(drawn, (squeezed, HEIGHT), interpolation=cv2.INTER_AREA)
    ink = small.astype(np.float32) / 255 * rng.uniform(150, 250)
    ink += np.abs(noise.normal(0, rng.uniform(2, 8), ink.shape))
    return np.clip(ink, 0, 255).astype(np.uint8)
