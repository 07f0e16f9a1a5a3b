"""Render the bundled page: an invented French letter of 1884, worn and slightly bent.

    make sample            # fetches the fonts named below and runs this script

Everything is drawn from one seed, so the product can be made again. The letter, its people and
its affairs are invented. The fonts (SIL Open Font License 1.1) are read from their npm packages
and are not part of the repository. Because we draw the lines ourselves, baselines and polygons are
exact: the page is bent by a known displacement, and the same one moves the coordinates.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from lxml import etree
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ensemble_htr.assets import write_lock

SEED = 1884
WIDTH, HEIGHT = 1500, 1290  # of the page, pixels
SUPER = 3  # glyphs are drawn this many times larger than the page
PAPER, INK = (226, 213, 187), (58, 42, 34)  # RGB
HERE = Path(__file__).resolve().parent
NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Hand:
    """A pen in a hand: the font is the file of an npm package @fontsource/<font>."""

    font: str
    size: float  # em, pixels of the page
    weight: float = 0.0  # pixels by which strokes are swollen (or thinned)
    darkness: float = 1.0
    slant: float = 0.0  # shear, dx per dy
    digits: float = 1.0  # size of figures beside letters
    apostrophe: float = 1.0  # its advance: some fonts leave a hole after it


CLERK = Hand("herr-von-muellerhoff", 78.0, weight=0.3, slant=-0.04, apostrophe=0.7)
SIGNATURE = Hand("mrs-saint-delafield", 112.0, weight=0.3, darkness=1.1)
RECIPIENT = Hand("la-belle-aurore", 44.0, darkness=0.8, slant=0.1)


@dataclass(frozen=True, slots=True)
class Written:
    """One line to write: ``x, y`` is where its baseline starts; ``^`` raises the letters after it
    up to the next space or mark (as in the transcription)."""

    id: str
    text: str
    x: float
    y: float
    hand: Hand = CLERK
    rise: float = 0.0  # slope of the baseline, dy per dx


def letter() -> list[Written]:
    """The text of the page, line by line, in reading order."""
    body = [
        "J'ai l'honneur de vous adresser sous ce pli l'expédition",
        "de l'acte reçu par M^e Delacourt, notaire à Bar-sur-Seine,",
        "le vingt-deux octobre dernier, contenant vente par M^r Jean",
        "Baptiste Thévenin, vigneron, et M^me Adèle Courtois, son",
        "épouse, demeurant à Essoyes, d'une maison située rue de",
        "l'Église et d'une pièce de vigne de quarante-deux ares,",
        "moyennant le prix de 3850 francs payés comptant.",
        "La dem^lle Thévenin, leur fille, n'a pu signer à cause de",
        "sa grande faiblesse ; le médecin ne l'a quittée qu'hier.",
        "Veuillez, je vous prie, remettre cet acte à M^r Lemaître",
        "et me croire votre bien dévoué serviteur.",
    ]
    lines = [
        Written("l01", "Troyes, le 14 novembre 1884.", 790, 130, rise=-0.02),
        Written("l02", "Monsieur et cher Confrère,", 330, 232, rise=-0.012),
    ]
    rng = np.random.default_rng(SEED)
    for number, text in enumerate(body, start=3):
        indent = 205 if number in (3, 10, 12) else 140
        x, y = indent + rng.normal(0, 5), 322 + 72 * (number - 3) + rng.normal(0, 2)
        lines.append(Written(f"l{number:02d}", text, x, y, rise=rng.normal(-0.009, 0.004)))
    lines.append(Written("l14", "H. Vaucelles", 940, 1168, SIGNATURE, rise=-0.05))
    lines.append(Written("l15", "Rép. le 18 novembre", 130, 1205, RECIPIENT, rise=-0.03))
    return lines


# --- ink -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Strokes:
    """A written line before the page is bent: ``ink`` is float (H, W) in [0, 1] on the flat page;
    baseline and polygon are (N, 2) x, y points there."""

    ink: Array
    baseline: Array
    polygon: Array


def write_line(line: Written, fonts: Path, rng: np.random.Generator) -> Strokes:
    """Write one line glyph by glyph along its wavering baseline."""
    canvas = Image.new("L", (WIDTH * SUPER, HEIGHT * SUPER), 0)
    wave = _waver(rng, line)
    x, raised, load = line.x, False, rng.uniform(0.75, 1.0)
    start = x
    for glyph, following in zip(line.text, [*line.text[1:], " "], strict=True):
        if glyph == "^":
            raised, x = True, x + 0.13 * line.hand.size
            continue
        if glyph in " ,;.":
            raised = False
        load = 1.0 if load < 0.7 and glyph == " " else load - rng.uniform(0.0, 0.008)
        size = line.hand.size * (0.62 if raised else 1.0) * rng.normal(1.0, 0.014)
        size *= line.hand.digits if glyph.isdigit() else 1.0
        font = _font(fonts, line.hand.font, size * SUPER)
        lift = 0.24 * line.hand.size if raised else 0.0
        y = wave(x) - lift + rng.normal(0, 0.35)
        if glyph.strip():
            _stamp(canvas, glyph, font, x, y, min(1.0, load * line.hand.darkness))
        advance = font.getlength(glyph + following) - font.getlength(following)
        stretch = rng.normal(1.12, 0.16) if glyph == " " else rng.normal(1.0, 0.012)
        x += advance / SUPER * stretch * (line.hand.apostrophe if glyph == "'" else 1.0)
    ink = cv2.resize(
        np.asarray(canvas, np.float32) / 255, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA
    )
    if line.hand.slant:
        shear = np.array([[1, -line.hand.slant, line.hand.slant * line.y], [0, 1, 0]], np.float32)
        ink = cv2.warpAffine(ink, shear, (WIDTH, HEIGHT))
    xs = np.linspace(start, x, 12)
    baseline = np.stack([xs, [wave(v) for v in xs]], axis=1).astype(np.float32)
    return Strokes(_press(ink, line.hand, rng), baseline, _outline(ink, baseline, line.hand))


def _waver(rng: np.random.Generator, line: Written) -> Callable[[float], float]:
    """The baseline's y at x: a slope and two slow waves."""
    a, b = rng.normal(0, 1.6), rng.normal(0, 0.9)
    p, q = rng.uniform(0, 6.28, 2)
    return lambda x: float(
        line.y
        + line.rise * (x - line.x)
        + a * (np.sin(x / 260 + p) - np.sin(line.x / 260 + p))
        + b * np.sin(x / 90 + q)
    )


_FONTS: dict[tuple[str, int], ImageFont.FreeTypeFont] = {}


def _font(folder: Path, name: str, size: float) -> ImageFont.FreeTypeFont:
    key = name, round(size)
    if key not in _FONTS:
        path = f"node_modules/@fontsource/{name}/files/{name}-latin-400-normal.woff"
        _FONTS[key] = ImageFont.truetype(str(folder / path), key[1])
    return _FONTS[key]


def _stamp(
    canvas: Image.Image, glyph: str, font: ImageFont.FreeTypeFont, x: float, y: float, ink: float
) -> None:
    """Draw a glyph with its origin at x, y of the page; overlapping ink does not add up."""
    box = font.getbbox(glyph, anchor="ls")
    pad = 4
    size = int(box[2] - box[0]) + 2 * pad, int(box[3] - box[1]) + 2 * pad
    tile = Image.new("L", size, 0)
    origin = pad - box[0], pad - box[1]
    ImageDraw.Draw(tile).text(origin, glyph, font=font, fill=int(255 * ink), anchor="ls")
    place = round(x * SUPER - origin[0]), round(y * SUPER - origin[1])
    under = canvas.crop((*place, place[0] + size[0], place[1] + size[1]))
    lighter = np.maximum(np.asarray(under), np.asarray(tile))
    canvas.paste(Image.fromarray(lighter), place)


def _press(ink: Array, hand: Hand, rng: np.random.Generator) -> Array:
    """Uneven pressure: strokes swell and thin slowly, and the ink pools and dries along them."""
    pressure = 0.55 * noise(rng, 40) + 0.45 * noise(rng, 14)
    soft = cv2.GaussianBlur(ink, (0, 0), 0.9)
    swollen = soft * (1.0 + hand.weight + 0.35 * pressure)
    flow = 0.9 + 0.12 * noise(rng, 70) + 0.08 * noise(rng, 4)
    grain = 1.0 - 0.13 * np.clip(noise(rng, 1.2), 0, None)
    return np.clip(swollen * 1.25, 0, 1).astype(np.float32) * np.clip(flow * grain, 0.25, 1.05)


def _outline(ink: Array, baseline: Array, hand: Hand) -> Array:
    """A polygon around the line's own ink: per stretch its top and bottom, limited to what a
    segmenter would give (two thirds of an em above the baseline, one third below), softened."""
    xs = np.linspace(baseline[0, 0] - 10, baseline[-1, 0] + 12, 28)
    ys = np.interp(xs, baseline[:, 0], baseline[:, 1])
    rows = np.arange(ink.shape[0])
    upper, lower = [], []
    for x, y in zip(xs, ys, strict=True):
        strip = ink[:, max(0, int(x) - 34) : int(x) + 34].max(axis=1) > 0.2
        found = rows[strip]
        top = y - found.min() + 3 if found.size else 24.0
        bottom = found.max() - y + 3 if found.size else 8.0
        upper.append(float(np.clip(top, 24, 0.66 * hand.size)))
        lower.append(float(np.clip(bottom, 8, 0.34 * hand.size)))
    kernel = np.array([0.25, 0.5, 0.25])
    high = np.maximum(np.convolve(np.pad(upper, 1, mode="edge"), kernel, "valid"), 24)
    low = np.maximum(np.convolve(np.pad(lower, 1, mode="edge"), kernel, "valid"), 8)
    over = np.stack([xs, ys - high], axis=1)
    under = np.stack([xs, ys + low], axis=1)[::-1]
    return np.concatenate([over, under]).astype(np.float32)


# --- paper ---------------------------------------------------------------------------------------


def noise(rng: np.random.Generator, scale: float) -> Array:
    """Smooth Gaussian noise (HEIGHT, WIDTH), zero mean, unit variance, features of ``scale`` px."""
    small = rng.normal(size=(int(HEIGHT / scale) + 4, int(WIDTH / scale) + 4)).astype(np.float32)
    field = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return ((field - field.mean()) / (field.std() + 1e-6)).astype(np.float32)


def paper(rng: np.random.Generator) -> Array:
    """Blank old paper as a factor of brightness (HEIGHT, WIDTH): fibres, clouds, folds, edges."""
    clouds = 0.018 * noise(rng, 300) + 0.012 * noise(rng, 90)
    fibres = 0.009 * noise(rng, 2.5) + 0.009 * cv2.blur(noise(rng, 1), (9, 1))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    laid = 0.004 * np.sin(y * 2 * np.pi / 6.2) + 0.006 * np.cos(x * 2 * np.pi / 205)
    sheet = 1.0 + clouds + fibres + laid
    for centre, depth in ((HEIGHT * 0.492, 0.075), (HEIGHT * 0.985, 0.05)):  # folds across
        bend = y - centre - 2.5 * np.sin(x / 310)
        sheet -= depth * np.exp(-((bend / 2.2) ** 2)) * (0.7 + 0.3 * noise(rng, 25))
        sheet += 0.03 * np.exp(-(((bend - 6) / 6) ** 2))
    edge = np.minimum.reduce([x, WIDTH - x, y, HEIGHT - y]) + 9 * noise(rng, 60)
    return (sheet - 0.16 * np.exp(-np.clip(edge, 0, None) / 26)).astype(np.float32)


def stains(rng: np.random.Generator) -> Array:
    """Damp rings and foxing as darkness (HEIGHT, WIDTH), about 0 to 0.25."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    dark = np.zeros((HEIGHT, WIDTH), np.float32)
    for cx, cy, radius, depth in ((1330, 1120, 210, 0.085), (1240, 330, 95, 0.05)):
        ragged = np.hypot(x - cx, (y - cy) * 1.15) + 13 * noise(rng, 55) + 4 * noise(rng, 12)
        dark += depth * (ragged < radius) * 0.45
        dark += depth * np.exp(-(((ragged - radius) / 7) ** 2))
    for _ in range(70):  # foxing
        cx, cy, radius = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), rng.gamma(2.0, 1.5)
        left, top = max(0, int(cx) - 30), max(0, int(cy) - 30)
        part = slice(top, top + 60), slice(left, left + 60)
        distance = np.hypot(x[part] - cx, y[part] - cy)
        dark[part] += rng.uniform(0.05, 0.2) * np.exp(-((distance / (radius + 1)) ** 2))
    return cv2.GaussianBlur(dark, (0, 0), 1.2)


def verso(fonts: Path, rng: np.random.Generator) -> Array:
    """What shows through from the other side: mirrored, soft, broken lines of the same hand."""
    text = (
        "frais et honoraires restant dus sur la succession Marchand",
        "que nous avons ouverte le trois janvier mil huit cent quatre",
        "vingt-trois, en présence des héritiers et de leur tuteur",
    )
    ink = np.zeros((HEIGHT, WIDTH), np.float32)
    for row in range(12):
        line = Written("", text[row % 3], 160 + rng.normal(0, 20), 260 + 76 * row)
        ink = np.maximum(ink, write_line(line, fonts, rng).ink)
    soft = cv2.GaussianBlur(ink[:, ::-1], (0, 0), 2.2)
    return soft * np.clip(0.5 + 0.5 * noise(rng, 120), 0, 1)


# --- the page ------------------------------------------------------------------------------------


def displacement() -> Array:
    """How far each point of the flat page moves, (HEIGHT, WIDTH, 2) in pixels: the sheet rises
    towards the spine on the left and its corner lifts a little."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    dy = -13 * np.exp(-x / 330) + 6 * np.sin(x / 520 + y / 1700) + 3 * np.sin(y / 260 + x / 900)
    dx = 4 * np.sin(y / 420) + 5 * np.exp(-x / 220)
    return np.stack([dx, dy], axis=-1).astype(np.float32)


def bend(image: Array, move: Array) -> Array:
    """Move every pixel: out(p) = image(p - move(p))."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    return cv2.remap(
        image, x - move[..., 0], y - move[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )


def bend_points(points: Array, move: Array) -> Array:
    """Where `bend` puts points (N, 2): solves p - move(p) = q by iteration (the bend is gentle)."""
    moved = points.copy()
    for _ in range(12):
        x = np.clip(moved[:, 0], 0, WIDTH - 1).astype(int)
        y = np.clip(moved[:, 1], 0, HEIGHT - 1).astype(int)
        moved = points + move[y, x]
    return np.clip(moved, 0, [WIDTH - 1, HEIGHT - 1])


def compose(strokes: list[Strokes], fonts: Path, move: Array, rng: np.random.Generator) -> bytes:
    """Paper, stains, the other side and the ink become a JPEG."""
    ink = np.maximum.reduce([s.ink for s in strokes])
    halo = cv2.GaussianBlur(ink, (0, 0), 3.5) * 0.05  # iron-gall ink browns the paper around it
    sheet = paper(rng) - stains(rng)
    brown = 0.075 * verso(fonts, rng) + halo
    flat = np.empty((HEIGHT, WIDTH, 3), np.float32)
    for channel in range(3):
        tint = (0.75, 1.0, 1.5)[channel]  # what darkens paper takes blue away first
        base = PAPER[channel] * np.clip(1 - (1 - sheet) * tint, 0, 1.2) * (1 - brown * tint)
        flat[..., channel] = base * (1 - ink * 0.93) + INK[channel] * ink * 0.93
    page = bend(flat, move)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    far = (x / WIDTH - 0.55) ** 2 + (y / HEIGHT - 0.4) ** 2
    light = 1.02 - 0.11 * np.exp(-x / 90) - 0.07 * far
    page = cv2.GaussianBlur(page * light[..., None], (0, 0), 0.45)
    page += rng.normal(0, 2.0, (HEIGHT, WIDTH, 1))
    buffer = BytesIO()
    pixels = Image.fromarray(np.clip(page, 0, 255).astype(np.uint8))
    pixels.save(buffer, "JPEG", quality=70, optimize=True, progressive=True, subsampling=2)
    return buffer.getvalue()


def page_xml(lines: list[Written], strokes: list[Strokes], move: Array) -> bytes:
    """PAGE 2019-07-15 with exact geometry and no text (that is for the recognizers to find)."""
    root = etree.Element(f"{{{NAMESPACE}}}PcGts", nsmap={None: NAMESPACE})

    def sub(parent: etree._Element, name: str, **attributes: str) -> etree._Element:
        return etree.SubElement(parent, f"{{{NAMESPACE}}}{name}", attributes)

    meta = sub(root, "Metadata")
    sub(meta, "Creator").text = "ensemble-htr, sample/make_page.py"
    for name in ("Created", "LastChange"):
        sub(meta, name).text = "2026-01-01T00:00:00"
    size = {"imageWidth": str(WIDTH), "imageHeight": str(HEIGHT)}
    page = sub(root, "Page", imageFilename="page.jpg", **size)
    region = sub(page, "TextRegion", id="letter", type="paragraph")
    corners = np.array([[40, 40], [WIDTH - 40, 40], [WIDTH - 40, HEIGHT - 40], [40, HEIGHT - 40]])
    sub(region, "Coords", points=_points(corners.astype(np.float32)))
    for line, stroke in zip(lines, strokes, strict=True):
        element = sub(region, "TextLine", id=line.id)
        sub(element, "Coords", points=_points(bend_points(stroke.polygon, move)))
        sub(element, "Baseline", points=_points(bend_points(stroke.baseline, move)))
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _points(points: Array) -> str:
    return " ".join(f"{round(float(x))},{round(float(y))}" for x, y in points)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fonts", type=Path, default=HERE / "fonts", help="npm prefix")
    parser.add_argument("--out", type=Path, default=HERE / "letter")
    options = parser.parse_args()
    rng = np.random.default_rng(SEED)
    lines, move = letter(), displacement()
    strokes = [write_line(line, options.fonts, rng) for line in lines]
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    (out / "page.jpg").write_bytes(compose(strokes, options.fonts, move, rng))
    (out / "page.xml").write_bytes(page_xml(lines, strokes, move))
    truth = "".join(f"{line.id}\t{line.text}\n" for line in lines)
    (out / "truth.tsv").write_text(truth, encoding="utf-8")
    write_lock(
        out,
        ("page.jpg", "page.xml", "truth.tsv"),
        licence="Apache-2.0 (an invented letter, drawn by sample/make_page.py)",
        tools={"numpy": np.__version__, "opencv": cv2.__version__},
        facts={"seed": SEED, "lines": len(lines), "width": WIDTH, "height": HEIGHT},
    )


if __name__ == "__main__":
    main()
