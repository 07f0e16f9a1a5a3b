"""One picture of a page that shows every preprocessing step and the lines as they are read.

A step that is on acts on all that follows; one that is off is shown on its own, so that a look
tells whether to switch it on.
"""

from __future__ import annotations

import dataclasses
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ensemble_htr import registry
from ensemble_htr.assets import resolve
from ensemble_htr.errors import InputError, OutputError, UsageError
from ensemble_htr.files import atomic_write
from ensemble_htr.io.images import load_page
from ensemble_htr.io.sources import find_pages
from ensemble_htr.layout.preprocess import (
    LINE_STEPS,
    PAGE_STEPS,
    Prepared,
    Preprocess,
    line_step,
    page_step,
    prepare_page,
)
from ensemble_htr.layout.rectify import page_thickness, rectify_page, whole_image
from ensemble_htr.layout.slant import slant_of
from ensemble_htr.plan import read_model
from ensemble_htr.types import Line, Page, Point

__all__ = ["preview", "render_preview"]

WIDTH = 1600  # px of the picture
EDGE, GAP, GUTTER = 48, 24, 168  # margins of the sheet, between panels, left of the strips
TALL, CLOSE, STRIP = 640, 168, 58  # heights: most of a page panel, of a close-up, most of a strip
SHOWN = 6  # lines whose steps are shown
PAPER, CARD, RULE = (247, 245, 240), (255, 255, 255), (221, 216, 206)
TEXT, FAINT, ON, LINE = (38, 36, 33), (128, 122, 112), (33, 118, 92), (196, 78, 52)
_TITLES = {
    "denoise": "Denoised", "flatten": "Background flattened", "deskew": "Deskewed",
    "deslant": "slant removed", "binarize": "binarized",
}  # fmt: skip

Gray = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Stage:
    """One panel: the page after a step, and whether the step is on (None: no step)."""

    title: str
    detail: str
    page: Prepared
    on: bool | None


def preview(
    path: Path,
    out: Path | None,
    model: str = "default",
    number: int = 1,
    segmenter: str = "ink",
) -> Path:
    """Write the picture of the ``number``-th page of ``path`` with the steps of ``model``; of a
    page that nobody has marked the lines are those that ``segmenter`` finds.

    ``out`` None means ``STEM.preview.png`` in the working directory. Returns the file written.
    Raises `UsageError` for a page that is not there, `OutputError` for an ``out`` that is an
    input or cannot be written, and what reading the page or the model raises.
    """
    sources = find_pages([path])
    if not 1 <= number <= len(sources):
        held = f"{len(sources)} page{'s' * (len(sources) != 1)}"
        raise UsageError(f"--page {number}: {path} holds {held}")
    page, pixels = load_page(sources[number - 1].read())
    out = out or Path(f"{page.stem}.preview.png")
    if any(p is not None and out.exists() and out.samefile(p) for p in (page.image, page.source)):
        raise OutputError(f"{out}: is the input, and inputs are never overwritten; choose another")
    if out.suffix.lower() != ".png":
        raise UsageError(f"-o {out}: the picture is a PNG; wanted a name that ends in .png")
    config = read_model(resolve("models", model))
    who = f"model {model}"
    if page.format == "image" and not page.lines:
        lines = registry.load("segmenters", segmenter)().segment(pixels)
        page = dataclasses.replace(page, lines=tuple(lines), format="page")
        who += f"  /  lines found by {segmenter}"
    picture = render_preview(page, pixels, config.preprocess, who)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    atomic_write(out, buffer.getvalue())
    return out


def render_preview(page: Page, pixels: Gray, options: Preprocess, subtitle: str) -> Image.Image:
    """The picture, `WIDTH` px wide and a few thousand high at most. ``pixels`` are the page's,
    gray ``uint8 (H, W)``, and ``page`` is in these pixels. Raises `InputError` without lines."""
    if not page.lines:
        raise InputError(f"{page.stem}: has no lines to show")
    single = page.format == "image"
    thickness = 0.65 * pixels.shape[0] if single else page_thickness(page.lines)
    stages = _stages(pixels, options, thickness, single)
    if single:
        last = prepare_page(pixels, dataclasses.replace(options, deskew=False), thickness)
        cut = [whole_image(last.image, page.lines[0].id)]
    else:
        last = prepare_page(pixels, options, thickness)
        cut = rectify_page(last.image, last.lines(page.lines))
    blocks = [
        _heading(page, pixels, options, subtitle),
        _panels(stages, page.lines, thickness),
        _strips(_sample(cut), options, len(cut)),
    ]
    height = sum(block.height for block in blocks) + EDGE * 2 + GAP * (len(blocks) - 1)
    sheet, top = Image.new("RGB", (WIDTH, height), PAPER), EDGE
    for block in blocks:
        sheet.paste(block, (EDGE, top))
        top += block.height + GAP
    return sheet


def _stages(pixels: Gray, options: Preprocess, thickness: float, single: bool) -> list[Stage]:
    height, width = pixels.shape
    page = Prepared(pixels)
    stages = [Stage("As it came", f"{width} x {height} px", page, None)]
    for step in PAGE_STEPS:
        if single and step == "deskew":
            continue
        after, on = page_step(step, page, options, thickness), options.acts(step)
        detail = "divided by its paper"
        if step == "denoise":
            detail = options.only(step).denoise
        if step == "deskew":
            angle = after.turn.angle if after.turn and after is not page else None
            detail = f"turned by {angle:+.2f} degrees" if angle else "lies level already"
        stages.append(Stage(_TITLES[step], detail, after, on))
        page = after if on else page
    return stages


def _sample(lines: Sequence[Line]) -> list[Line]:
    """At most `SHOWN` of the lines, spread over the page; those with some width first."""
    wide = [x for x in lines if x.image is not None and x.image.shape[1] > 200] or list(lines)
    at = np.linspace(0, len(wide) - 1, min(SHOWN, len(wide)))
    return [wide[round(i)] for i in at]


# ---- blocks ------------------------------------------------------------------------------


def _heading(page: Page, pixels: Gray, options: Preprocess, subtitle: str) -> Image.Image:
    block = Image.new("RGB", (WIDTH - 2 * EDGE, 92), PAPER)
    draw = ImageDraw.Draw(block)
    _write(draw, (0, 0), page.stem, 34, TEXT, block.width)
    steps = [s for s in (*PAGE_STEPS, *LINE_STEPS) if options.acts(s)]
    count = f"{len(page.lines)} line{'s' * (len(page.lines) != 1)}"
    on = f"steps on: {', '.join(steps)}" if steps else "no optional step is on"
    _write(draw, (0, 50), f"{count}  /  {subtitle}  /  {on}", 20, FAINT, block.width)
    draw.line((0, 90, block.width, 90), RULE, 2)
    return block


def _panels(stages: Sequence[Stage], lines: Sequence[Line], thickness: float) -> Image.Image:
    """The stages side by side: title, state, the whole page, a close-up."""
    room = WIDTH - 2 * EDGE
    width = (room - GAP * (len(stages) - 1)) // len(stages)
    ratio = max(s.page.image.shape[0] / s.page.image.shape[1] for s in stages)
    tall = min(TALL, round(width * ratio))
    where = _spot(lines)
    closes = [_close_up(s.page, where, thickness, (width, CLOSE)) for s in stages]
    low = max(close.height for close in closes)
    block = Image.new("RGB", (room, 62 + tall + 12 + low), PAPER)
    draw = ImageDraw.Draw(block)
    for i, stage in enumerate(stages):
        left = i * (width + GAP)
        _write(draw, (left, 0), f"{i + 1}  {stage.title}", 22, TEXT, width - 50)
        _write(draw, (left, 30), stage.detail, 17, FAINT, width)
        if stage.on is not None:
            _pill(draw, left + width, 3, stage.on)
        drawn = lines if i == 0 or stage.title == _TITLES["deskew"] else ()
        _card(block, (left, 62), _whole(stage.page, drawn, (width, tall)), (width, tall))
        _card(block, (left, 62 + tall + 12), closes[i], (width, low))
    return block


def _whole(page: Prepared, lines: Sequence[Line], room: tuple[int, int]) -> Image.Image:
    """The page as large as ``room`` allows, with its lines drawn."""
    height, width = page.image.shape
    scale = min(room[0] / width, room[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    twice = size[0] * 2, size[1] * 2  # drawn double and shrunk: smooth edges
    picture = Image.fromarray(page.image).resize(twice, Image.Resampling.BOX).convert("RGB")
    over = Image.new("RGBA", twice, (0, 0, 0, 0))
    draw = ImageDraw.Draw(over)
    for line in page.lines(lines):
        if len(line.polygon) >= 3:
            draw.polygon(_scaled(line.polygon, 2 * scale), (*LINE, 30), (*LINE, 130))
    for line in page.lines(lines):
        if len(line.baseline) >= 2:
            draw.line(_scaled(line.baseline, 2 * scale), (*ON, 255), 3, joint="curve")
    picture.paste(over, mask=over)
    return picture.resize(size, Image.Resampling.LANCZOS)


def _close_up(page: Prepared, where: Point, thickness: float, room: tuple[int, int]) -> Image.Image:
    """The surroundings of ``where`` (px of the page as it came), a line 44 px thick."""
    (x, y), scale = page.turn.points([where])[0] if page.turn else where, 44.0 / max(thickness, 1.0)
    half = room[0] / scale / 2, room[1] / scale / 2
    height, width = page.image.shape
    x, y = (
        float(np.clip(v, h, max(h, side - h)))
        for v, h, side in ((x, half[0], width), (y, half[1], height))
    )
    box = (int(x - half[0]), int(y - half[1]), int(x + half[0]), int(y + half[1]))
    box = (max(0, box[0]), max(0, box[1]), min(width, box[2]), min(height, box[3]))
    part = Image.fromarray(page.image[box[1] : box[3], box[0] : box[2]])
    size = min(room[0], round(part.width * scale)), min(room[1], round(part.height * scale))
    return part.resize((max(1, size[0]), max(1, size[1])), Image.Resampling.LANCZOS)


def _strips(lines: Sequence[Line], options: Preprocess, total: int) -> Image.Image:
    """Every line of ``lines``: straightened, then after each line step."""
    room = WIDTH - 2 * EDGE
    shown = [_versions(line, options) for line in lines]
    each = 28 + (STRIP + 10) * (1 + len(LINE_STEPS)) + 20
    block = Image.new("RGB", (room, 48 + each * len(shown) - 30), PAPER)
    draw = ImageDraw.Draw(block)
    some = f"{len(lines)} of {total} lines" if len(lines) < total else "Every line"
    title = f"{some}, cut along the baseline and straightened; contrast normalised"
    _write(draw, (0, 0), title, 22, TEXT, room - 260)
    note = "what the recognizers read"
    left = room - round(_font(17).getlength(note))
    draw.rectangle((left - 14, 1, left - 11, 22), ON)
    _write(draw, (left, 3), note, 17, FAINT, room)
    for k, (line, versions) in enumerate(zip(lines, shown, strict=True)):
        top = 48 + k * each
        _write(draw, (0, top), line.id, 17, FAINT, room)
        read = max(i for i, version in enumerate(versions) if version[2] is not False)
        for i, (name, image, on) in enumerate(versions):
            y = top + 28 + i * (STRIP + 10)
            colour = FAINT if on is False else TEXT
            _write(draw, (0, y + STRIP // 2 - 10), name, 17, colour, GUTTER - 64)
            if on is not None:
                _pill(draw, GUTTER - 20, y + STRIP // 2 - 12, on)
            size = _strip_size(image, room - GUTTER)
            strip = Image.fromarray(255 - image).resize(size, Image.Resampling.LANCZOS)
            block.paste(strip, (GUTTER, y))
            draw.rectangle((GUTTER, y, GUTTER + size[0] - 1, y + size[1] - 1), outline=RULE)
            if i == read:  # what the recognizers see
                draw.rectangle((GUTTER - 8, y, GUTTER - 5, y + size[1] - 1), ON)
    return block


def _versions(line: Line, options: Preprocess) -> list[tuple[str, Gray, bool | None]]:
    assert line.image is not None
    found: list[tuple[str, Gray, bool | None]] = [("straightened", line.image, None)]
    for step in LINE_STEPS:
        after, on = line_step(step, line, options), options.acts(step)
        assert after.image is not None and line.image is not None
        name = f"slant {slant_of(line.image):+.0f}" if step == "deslant" else _TITLES[step]
        found.append((name, after.image, on))
        line = after if on else line
    return found


# ---- small things ------------------------------------------------------------------------


def _spot(lines: Sequence[Line]) -> Point:
    """The middle of the long line that is nearest the middle of the page, in px."""
    shapes = [np.asarray(x.baseline or x.polygon) for x in lines if x.baseline or x.polygon]
    if not shapes:
        return 0.0, 0.0
    widths = [float(np.ptp(shape[:, 0])) for shape in shapes]
    long = [s for s, width in zip(shapes, widths, strict=True) if width >= 0.6 * max(widths)]
    x, y = sorted(long, key=lambda s: float(s[:, 1].mean()))[len(long) // 2].mean(0)
    return float(x), float(y)


def _card(
    block: Image.Image, at: tuple[int, int], picture: Image.Image, room: tuple[int, int]
) -> None:
    """``picture`` centred on a white card with a thin frame."""
    x, y = at
    draw = ImageDraw.Draw(block)
    draw.rectangle((x, y, x + room[0] - 1, y + room[1] - 1), CARD)
    left, top = x + (room[0] - picture.width) // 2, y + (room[1] - picture.height) // 2
    block.paste(picture.convert("RGB"), (left, top))
    draw.rectangle((x, y, x + room[0] - 1, y + room[1] - 1), outline=RULE)


def _pill(draw: ImageDraw.ImageDraw, right: int, top: int, on: bool) -> None:
    """``on`` or ``off`` in a rounded box that ends at ``right``."""
    box = (right - 40, top, right, top + 23)
    draw.rounded_rectangle(box, 11, ON if on else PAPER, ON if on else RULE, 2)
    draw.text(
        (right - 20, top + 11), "on" if on else "off", PAPER if on else FAINT, _font(15), "mm"
    )


def _write(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int,
    colour: tuple[int, int, int],
    width: int,
) -> None:
    """``text`` in one line, shortened to ``width`` px; what the built-in font lacks is folded."""
    font, text = _font(size), _plain(text)
    if font.getlength(text) > width:
        while text and font.getlength(text + "...") > width:
            text = text[:-1]
        text += "..."
    draw.text(at, text, colour, font)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text[:200])
    return "".join(c if " " <= c <= "~" else "?" for c in folded if not unicodedata.combining(c))


def _strip_size(image: Gray, room: int) -> tuple[int, int]:
    height, width = image.shape
    scale = min(STRIP / height, room / width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _scaled(points: Sequence[Point], scale: float) -> list[Point]:
    return [(x * scale, y * scale) for x, y in points]
