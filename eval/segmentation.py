"""How well bare pages are cut into lines: recall and precision of lines, and what it costs in CER.

    python eval/segmentation.py ../shared/data [--segmenter ink] [--read 4]

A marked line is found if at least 70 % of its baseline lies within 0.35 line thicknesses (polygon
area over baseline length, median of the page) of a detected baseline and 70 % of that one within
the same distance of it, one to one, best pairs first. A detected line that finds none is exempt
from precision if less than 30 % of it lies in the transcribed block (the marked polygons, grown
together over gaps of up to two thicknesses): it is ink that nobody transcribed (consent,
identifiers, stamps, notes by other hands) or dirt; strict precision exempts nothing. Writes
eval/segmentation.md.
"""

from __future__ import annotations

import dataclasses
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from ensemble_htr import registry
from ensemble_htr.io.images import load_page
from ensemble_htr.io.pages import read_page
from ensemble_htr.layout.preprocess import cut_lines
from ensemble_htr.layout.rectify import page_thickness
from ensemble_htr.metrics import edit_distance
from ensemble_htr.pipeline import Pipeline, PipelineOptions
from ensemble_htr.text import profile
from ensemble_htr.types import Line

HERE = Path(__file__).parent
NEAR, SHARE, OUTSIDE = 0.35, 0.7, 0.3
SETS = {"hands/val": "hands/val/*.xml", "fr19/val, wills": "fr19/val/will-*.xml"}
Path_ = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """One page. ``errors`` are characters wrong in lines read from marked and from found lines,
    and of marked lines that were not found."""

    page: str
    marked: int
    detected: int
    found: int
    exempt: int
    megapixels: float
    seconds: float  # of one core
    characters: int = 0
    errors: tuple[int, int, int] = (0, 0, 0)


def sampled(baseline: Iterable[tuple[float, float]], step: float = 4.0) -> Path_:
    """Points every ``step`` px along a baseline."""
    points = np.asarray(list(baseline), float).reshape(-1, 2)
    if len(points) < 2:
        return points
    at = np.r_[0.0, np.cumsum(np.hypot(*np.diff(points, axis=0).T))]
    where = np.linspace(0.0, at[-1], max(2, int(at[-1] / step) + 1))
    return np.column_stack([np.interp(where, at, points[:, i]) for i in (0, 1)])


def covered(one: Path_, other: Path_, near: float) -> float:
    """The share of ``one`` that lies within ``near`` px of ``other``."""
    if not len(one) or not len(other):
        return 0.0
    if (one.max(0) < other.min(0) - near).any() or (one.min(0) > other.max(0) + near).any():
        return 0.0
    return float((((one[:, None] - other) ** 2).sum(2).min(1) <= near**2).mean())


def matched(marked: Sequence[Line], detected: Sequence[Line], near: float) -> dict[int, int]:
    """Indices of marked lines to those of the detected lines that find them."""
    truth = [sampled(line.baseline) for line in marked]
    found = [sampled(line.baseline) for line in detected]
    offers = []
    for i, one in enumerate(truth):
        for j, other in enumerate(found):
            recall = covered(one, other, near)
            if recall >= SHARE and (precision := covered(other, one, near)) >= SHARE:
                offers.append((recall + precision, i, j))
    pairs: dict[int, int] = {}
    for _, i, j in sorted(offers, reverse=True):
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    return pairs


def block(marked: Sequence[Line], shape: tuple[int, ...], thickness: float) -> NDArray[np.uint8]:
    """1 where text was transcribed."""
    mask = np.zeros(shape, np.uint8)
    for line in marked:
        if len(line.polygon) >= 3:
            cv2.fillPoly(mask, [np.round(np.asarray(line.polygon)).astype(np.int32)], 1)
    side = 2 * round(thickness) + 1
    margin = side
    padded = np.pad(mask, margin)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    return np.asarray(closed[margin:-margin, margin:-margin], np.uint8)


def outside(line: Line, inside: NDArray[np.uint8], thickness: float) -> bool:
    points = sampled(line.baseline) - (0.0, 0.15 * thickness)
    if not len(points):
        return True
    x = np.clip(np.rint(points[:, 0]).astype(int), 0, inside.shape[1] - 1)
    y = np.clip(np.rint(points[:, 1]).astype(int), 0, inside.shape[0] - 1)
    return float(inside[y, x].mean()) < OUTSIDE


def scored(path: Path, segmenter: str, pipeline: Pipeline | None) -> Score:
    page, pixels = load_page(read_page(path))
    begun = time.process_time(), time.perf_counter()
    detected = registry.load("segmenters", segmenter)().segment(pixels)
    seconds = time.process_time() - begun[0]
    if segmenter != "ink":  # it works in another process
        seconds = time.perf_counter() - begun[1]
    thickness = page_thickness(page.lines)
    pairs = matched(page.lines, detected, NEAR * thickness)
    inside = block(page.lines, pixels.shape, thickness)
    spare = [line for j, line in enumerate(detected) if j not in pairs.values()]
    exempt = sum(outside(line, inside, thickness) for line in spare)
    score = Score(
        page.stem, len(page.lines), len(detected), len(pairs), exempt, pixels.size / 1e6, seconds
    )
    return score if pipeline is None else read(score, pixels, page.lines, detected, pairs, pipeline)


def read(
    score: Score,
    pixels: NDArray[np.uint8],
    marked: Sequence[Line],
    detected: Sequence[Line],
    pairs: dict[int, int],
    pipeline: Pipeline,
) -> Score:
    """Read the page from marked and from found lines; count wrong characters."""
    form = profile("fr-archive")
    texts = {
        i: form.apply(line.text)
        for i, line in enumerate(marked)
        if line.text and form.apply(line.text) and form.scorable(line.text)
    }
    options = pipeline.config.preprocess
    own = cut_lines(pixels, marked, options)
    found = cut_lines(pixels, detected, options)
    both = [i for i in texts if i in pairs]
    first = pipeline.read_lines([own[i] for i in both])
    second = pipeline.read_lines([found[pairs[i]] for i in both])
    wrong, lost = (
        sum(edit_distance(texts[i], form.apply(r.text)) for i, r in zip(both, each, strict=True))
        for each in (first, second)
    )
    missed = sum(len(text) for i, text in texts.items() if i not in pairs)
    characters = sum(len(texts[i]) for i in both)
    return dataclasses.replace(score, characters=characters, errors=(wrong, lost, missed))


def total(name: str, scores: Sequence[Score]) -> str:
    marked, detected, found, exempt = (
        sum(getattr(s, key) for s in scores) for key in ("marked", "detected", "found", "exempt")
    )
    recall, precision = found / max(1, marked), found / max(1, detected - exempt)
    pace = sum(s.seconds for s in scores) / max(1e-9, sum(s.megapixels for s in scores))
    return (
        f"| {name} | {len(scores)} | {marked} | {detected} | {exempt} | {100 * recall:.1f} | "
        f"{100 * precision:.1f} | {100 * found / max(1, detected):.1f} | {pace:.2f} |"
    )


def downstream(name: str, scores: Sequence[Score]) -> str:
    """CER over the lines that were found, cut both ways, and with the others counted as lost."""
    read_ = [s for s in scores if s.characters]
    characters = sum(s.characters for s in read_)
    marked, found, missed = (sum(s.errors[k] for s in read_) for k in range(3))
    if not characters:
        return f"| {name} | 0 | - | - | - |"
    return (
        f"| {name} | {len(read_)} | {100 * marked / characters:.2f} | "
        f"{100 * found / characters:.2f} | {100 * (found + missed) / (characters + missed):.2f} |"
    )


@click.command()
@click.argument("data", type=click.Path(path_type=Path), default=Path("../shared/data"))
@click.option("--segmenter", default="ink", show_default=True)
@click.option("--read", "pages", default=4, show_default=True, help="Pages of each set to read.")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=HERE / "segmentation.md")
def main(data: Path, segmenter: str, pages: int, out: Path) -> None:
    """Cut the pages of DATA into lines and write the table."""
    pipeline = Pipeline.load(PipelineOptions()) if pages else None
    results: dict[str, list[Score]] = {}
    for name, pattern in SETS.items():
        files = sorted(data.glob(pattern))
        every = max(1, len(files) // pages) if pages else 0
        results[name] = [
            scored(file, segmenter, pipeline if pages and i % every == 0 else None)
            for i, file in enumerate(files)
        ]
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    parts = [
        "# Lines of bare pages",
        f"`python eval/segmentation.py --segmenter {segmenter}`, {date.today()}, commit {commit}.",
        " ".join((__doc__ or "").split("\n\n", 2)[2].split()).replace(
            " Writes eval/segmentation.md.", ""
        ),
        "| pages of | pages | marked lines | detected | exempt | recall % | precision % | "
        "strict precision % | s per megapixel |\n|---|---|---|---|---|---|---|---|---|\n"
        + "\n".join(total(name, scores) for name, scores in results.items()),
    ]
    if pages:
        parts.append(
            "Read by the shipped ensemble, every n-th page; CER % of the found lines as cut from "
            "the marked outlines and as found, and with marked lines that were not found counted "
            "as deleted:\n\n| pages of | pages | marked | found | found, rest deleted |\n"
            "|---|---|---|---|---|\n"
            + "\n".join(downstream(name, scores) for name, scores in results.items())
        )
    for name, scores in results.items():
        rows = [
            f"| {s.page} | {s.marked} | {s.detected} | {s.found} | {s.exempt} | {s.seconds:.2f} |"
            for s in scores
        ]
        head = "| page | marked | detected | found | exempt | s |\n|---|---|---|---|---|---|\n"
        parts.append(f"## {name}\n\n{head}" + "\n".join(rows))
    out.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    click.echo("\n\n".join(parts[3 : 5 if pages else 4]))


if __name__ == "__main__":
    main()
