"""A page and its readings as one HTML file that needs nothing else.

The view shows the page with its lines, each line's picture and text, shades only the least sure
few per cent of the characters, and unfolds every engine's reading beside the chosen one. It loads
nothing (a content security policy says so) and runs without scripts; the one small script lights
up a line and its outline together.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ensemble_htr import __version__
from ensemble_htr.metrics import Counts, char_counts
from ensemble_htr.report.lines import (
    Shading,
    alternatives,
    columns,
    marked,
    percent,
    truth_line,
)
from ensemble_htr.report.pictures import crop_uri, jpeg_uri, outline, page_picture
from ensemble_htr.text import Profile, profile
from ensemble_htr.types import Line, Page, Reading

__all__ = ["HtmlOptions", "render_html"]

_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")  # no HTML may hold these


@dataclass(frozen=True, slots=True)
class HtmlOptions:
    """How the view is made."""

    title: str = ""  # else the page's stem
    truth: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # by line id
    profile: str = "fr-archive"  # normalisation for the comparison with the truth
    page_width: int = 1600  # pixels of the embedded page picture, at most
    crop_width: int = 900  # pixels of a line's picture, at most
    doubtful: float = 0.05  # share of the page's characters that may be shaded


def render_html(
    page: Page,
    readings: Mapping[str, Reading],
    crops: Mapping[str, NDArray[np.uint8]] | None = None,
    options: HtmlOptions = HtmlOptions(),  # noqa: B008 - frozen
) -> str:
    """The whole HTML document.

    ``readings`` and ``crops`` are by line id; a crop is uint8 (H, W), 0 = paper, 255 = ink, and
    stands in for the cut from the page image. Lines without a reading are shown as such. Raises
    `ImageError` if the page's image is there but cannot be decoded.
    """
    picture = page_picture(page.image) if page.image is not None else None
    size = _size(page, picture)
    scale = (picture.width / size[0], picture.height / size[1]) if picture else (1.0, 1.0)
    everything = [c for reading in readings.values() for c in reading.confidences]
    shading = Shading.of(everything, options.doubtful)
    norm = profile(options.profile)
    articles = []
    for number, line in enumerate(page.lines, start=1):
        crop = (crops or {}).get(line.id)
        if crop is None:
            crop = line.image
        uri = crop_uri(line, crop, picture, scale, options.crop_width)
        reading, truth = readings.get(line.id), options.truth.get(line.id)
        articles.append(_article(number, line, uri, reading, truth, shading, norm))
    figure = _figure(page, readings, picture, size, shading, options) if picture else ""
    title = options.title or page.stem
    head = _header(title, page, readings, everything, shading, options, norm)
    lines = f"<section>{''.join(articles)}</section>"
    opening = "<main>" if figure else '<main class="no-image">'
    main = f"{opening}{figure}{lines}</main>"
    return _document(title, f"{head}\n{main}\n{_footer()}")


def _size(page: Page, picture: Image.Image | None) -> tuple[int, int]:
    """Width and height of the coordinates: the XML's, else the picture's."""
    if page.width > 0 and page.height > 0:
        return page.width, page.height
    return (picture.width, picture.height) if picture else (1, 1)


def _header(
    title: str,
    page: Page,
    readings: Mapping[str, Reading],
    confidences: list[float],
    shading: Shading,
    options: HtmlOptions,
    norm: Profile,
) -> str:
    doubtful = sum(shading.grade(c) > 0 for c in confidences)
    figures = [f"<span><b>{len(readings)}</b> of {len(page.lines)} lines read</span>"]
    if confidences:
        mean = math.fsum(confidences) / len(confidences)
        figures.append(f"<span>a character is right with <b>{percent(mean)}</b></span>")
        figures.append(f"<span><b>{doubtful}</b> of {len(confidences)} characters shaded</span>")
    scored = [(t, readings[i].text) for i, t in options.truth.items() if i in readings]
    if scored:
        counts = Counts.sum(char_counts(t, r, norm) for t, r in scored)
        note = escape(f"{counts.edits} of {counts.reference}, profile {norm.name}")
        figures.append(
            f"<span>against the truth: <b>{counts.rate * 100:.1f}&#8239;%</b> CER ({note})</span>"
        )
    doc = f" <small>{escape(page.doc)}</small>" if page.doc and page.doc != title else ""
    return (
        f"<header><h1>{escape(title)}{doc}</h1>"
        f'<p class="figures">{"".join(figures)}</p>'
        '<p class="legend">Shaded: the places that are least sure '
        '(<span class="d1">less</span>, <span class="d2">little</span>, '
        '<span class="d3">least</span>); rest the pointer on one for what else it could be. '
        "Everything else was read with more confidence, not with certainty.</p></header>"
    )


def _figure(
    page: Page,
    readings: Mapping[str, Reading],
    picture: Image.Image,
    size: tuple[int, int],
    shading: Shading,
    options: HtmlOptions,
) -> str:
    links = []
    for number, line in enumerate(page.lines, start=1):
        points = outline(line)
        reading = readings.get(line.id)
        if points:
            unsure = reading is None or any(shading.grade(c) == 3 for c in reading.confidences)
            kind = ' class="doubtful"' if unsure else ""
            tip = escape(reading.text if reading else "not read")
            links.append(
                f'<a href="#line-{number}"><polygon{kind} points="{points}">'
                f"<title>{tip}</title></polygon></a>"
            )
    uri = jpeg_uri(picture, options.page_width)
    return (
        f'<figure class="page"><svg viewBox="0 0 {size[0]} {size[1]}" role="img" '
        f'aria-label="the page"><image href="{uri}" width="{size[0]}" height="{size[1]}" '
        f'preserveAspectRatio="none"/>{"".join(links)}</svg></figure>'
    )


def _article(
    number: int,
    line: Line,
    uri: str,
    reading: Reading | None,
    truth: str | None,
    shading: Shading,
    norm: Profile,
) -> str:
    picture = f'<img class="crop" src="{uri}" alt="" loading="lazy">' if uri else ""
    name = escape(line.id)
    if reading is None:
        return (
            f'<article class="line" id="line-{number}">{picture}<span class="meta">{name}</span>'
            '<p class="text"><span class="empty">this line was not read</span></p></article>'
        )
    parts = [
        f'<article class="line" id="line-{number}">',
        picture,
        f'<span class="meta">{name} · whole line right: {percent(reading.confidence)}</span>',
        f'<p class="text">{marked(reading, shading)}</p>',
    ]
    if truth is not None and (missed := truth_line(reading, norm.apply(truth))):
        parts.append(f'<p class="truth">written: {missed}</p>')
    if reading.without_lm is not None and reading.without_lm != reading.text:
        plain = escape(reading.without_lm)
        parts.append(f'<p class="lm">without the language model: {plain}</p>')
    if reading.without_lists is not None and reading.without_lists != reading.text:
        plain = escape(reading.without_lists)
        parts.append(f'<p class="lm">without lists of words and names: {plain}</p>')
    why = columns(reading) + alternatives(reading)
    if why:
        parts.append(f"<details><summary>how it was read</summary>{why}</details>")
    return "".join([*parts, "</article>"])


def _footer() -> str:
    return f"<footer>ensemble-htr {escape(__version__)}</footer>"


def _document(title: str, body: str) -> str:
    style, script = _resource("view.css"), _resource("view.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    document = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )
    return _NOT_TEXT.sub("\ufffd", document)


def _resource(name: str) -> str:
    return files("ensemble_htr.report").joinpath(name).read_text(encoding="utf-8")
