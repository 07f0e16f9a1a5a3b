"""What each preprocessing step does to reading: clean pages, and pages spoilt by code.

    python eval/preprocessing.py ../shared/data [--every 1] [--jobs 2]

Greedy readings (no language model) of the letter lines of fr19/val and hands/val by the shipped
recognizers; profile fr-archive, micro-averaged CER. A step is switched on alone, against all off,
with 95 % intervals of the paired difference over documents. Writes eval/preprocessing.md and .json.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from run import commit

from ensemble_htr.decode import greedy
from ensemble_htr.io.images import load_page
from ensemble_htr.io.sources import PageSource
from ensemble_htr.layout.preprocess import Preprocess, cut_lines
from ensemble_htr.layout.rectify import page_thickness
from ensemble_htr.layout.skew import turned
from ensemble_htr.metrics import bootstrap_difference, char_counts
from ensemble_htr.pipeline import Pipeline, PipelineOptions
from ensemble_htr.text import has_letter, profile
from ensemble_htr.train.readings import each_page
from ensemble_htr.types import Line

HERE = Path(__file__).parent
FORM = profile("fr-archive")
Image = NDArray[np.uint8]
Spoilt = tuple[Image, list[Line]]
Key = tuple[str, str, str]  # condition, steps, recognizer

NOTE = (
    "The recognizers were trained without any of these steps, with augmentation by slant, noise "
    "and contrast: a step that loses here may still help a network that is trained with it, and "
    "one that wins here wins in spite of that. The contrast of lines is normalised in any case."
)
STEPS: dict[str, Preprocess] = {
    "all off": Preprocess(),
    "denoise = median": Preprocess(denoise="median"),
    "denoise = bilateral": Preprocess(denoise="bilateral"),
    "denoise = nlmeans": Preprocess(denoise="nlmeans"),
    "flatten": Preprocess(flatten=True),
    "deskew": Preprocess(deskew=True),
    "deslant": Preprocess(deslant=True),
    "binarize = sauvola": Preprocess(binarize="sauvola"),
}


@dataclass(frozen=True)
class Edits:
    """Edits and characters of one document."""

    doc: str
    edits: int
    characters: int


def clean(image: Image, lines: Sequence[Line]) -> Spoilt:
    return image, list(lines)


def shadow(image: Image, lines: Sequence[Line]) -> Spoilt:
    """Light from one corner (100 % to 45 %) and the edge of a shadow across the page (60 %)."""
    height, width = image.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    slope = 1.0 - 0.55 * (x / width + y / height) / 2
    edge = 0.5 - 0.5 * np.tanh((x + 0.35 * y - 0.6 * width) / 12.0)  # about 25 px wide
    lit = image * slope * (1.0 - 0.4 * edge)
    return np.clip(lit, 0, 255).astype(np.uint8), list(lines)


def grain(image: Image, lines: Sequence[Line]) -> Spoilt:
    """Gaussian noise of 22 grey levels, as of a phone in the dark."""
    noise = np.random.default_rng(7).normal(0.0, 22.0, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), list(lines)


def specks(image: Image, lines: Sequence[Line]) -> Spoilt:
    """2 % of the pixels black or white, as of a bad bilevel scan."""
    chance = np.random.default_rng(8).random(image.shape)
    spoilt = np.where(chance < 0.01, 0, np.where(chance > 0.99, 255, image))
    return spoilt.astype(np.uint8), list(lines)


def askew(image: Image, lines: Sequence[Line]) -> Spoilt:
    """The page turned by 2 degrees; of each line only its upright box is known."""
    image, turn = turned(image, -2.0)
    boxed = []
    for line in lines:
        points = np.array(turn.line(line).polygon or turn.line(line).baseline)
        (x0, y0), (x1, y1) = points.min(0).tolist(), points.max(0).tolist()
        box = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
        boxed.append(replace(line, baseline=(), polygon=box))
    return image, boxed


SPOILT: dict[str, tuple[Callable[[Image, Sequence[Line]], Spoilt], tuple[str, ...]]] = {
    "shadow": (shadow, ("flatten", "binarize = sauvola")),
    "grain": (grain, ("denoise = median", "denoise = bilateral", "denoise = nlmeans")),
    "specks": (specks, ("denoise = median", "denoise = bilateral")),
    "2 degrees askew, boxes only": (askew, ("deskew",)),
}


def scored(lines: Iterable[Line]) -> list[str]:
    """Ids of the letter lines of a page that may be scored."""
    texts = {x.id: x.text or "" for x in lines}
    return [i for i, t in texts.items() if FORM.scorable(t) and has_letter(FORM.apply(t))]


def edits_of_page(
    every: int, steps: frozenset[str], pipeline: Pipeline, source: PageSource
) -> dict[Key, Edits]:
    """Each recognizer's edits on one page, for every condition and those of its ``steps``."""
    cv2.setNumThreads(1)
    page, pixels = load_page(source.read())
    good = scored(page.lines)
    split = source.path.parent.parent.name + "/" + source.path.parent.name
    conditions = {split: (clean, tuple(STEPS))}
    if split.startswith("fr19"):
        conditions |= {n: (f, ("all off", *names)) for n, (f, names) in SPOILT.items()}
    found: dict[Key, Edits] = {}
    for condition, (spoil, names) in conditions.items():
        wanted = set(good[:: every if spoil is clean else 2 * every])
        names = tuple(n for n in names if n in steps)
        if names == ("all off",):
            continue
        image, lines = spoil(pixels, page.lines)
        for name in names:
            cut = cut_lines(image, [x for x in lines if x.id in wanted], STEPS[name])
            for recognizer in pipeline.recognizers:
                counts = [
                    char_counts(x.text or "", greedy(p, recognizer.name).text, FORM)
                    for x, p in zip(cut, recognizer.posteriors(cut), strict=True)
                ]
                total = sum(c.edits for c in counts), sum(c.reference for c in counts)
                found[condition, name, recognizer.name] = Edits(page.doc, *total)
    return found


def cell(these: Sequence[Edits], off: Sequence[Edits]) -> str:
    """CER of ``these`` and, where they are not ``off`` itself, the difference with its interval."""
    per_doc: dict[str, Counter[str]] = {}
    for one, base in zip(these, off, strict=True):
        sums = per_doc.setdefault(one.doc, Counter())
        sums.update(edits=one.edits, base=base.edits, characters=one.characters)
    table = [[sums[k] for sums in per_doc.values()] for k in ("edits", "base", "characters")]
    rate = 100 * sum(table[0]) / max(1, sum(table[2]))
    if these is off:
        return f"{rate:.2f}"
    change = bootstrap_difference(*table)
    low, high = 100 * change.low, 100 * change.high
    return f"{rate:.2f} ({100 * change.value:+.2f} [{low:+.2f}, {high:+.2f}])"


def keep(pages: Sequence[Mapping[Key, Edits]], path: Path) -> None:
    """The counts behind the tables, page by page, written whenever a page is done."""
    table = [
        [[*key, e.doc, e.edits, e.characters] for key, e in sorted(page.items())] for page in pages
    ]
    path.write_text("[\n" + ",\n".join(map(json.dumps, table)) + "\n]\n", encoding="utf-8")


def rows(pages: Sequence[Mapping[Key, Edits]], condition: str, names: Sequence[str]) -> str:
    mine = [page for page in pages if any(key[0] == condition for key in page)]
    readers = sorted({key[2] for key in mine[0]})
    out = [f"| {condition} | " + " | ".join(readers) + " |", "|---|" + "---|" * len(readers)]
    off = {r: [page[condition, "all off", r] for page in mine] for r in readers}
    for name in (n for n in names if (condition, n, readers[0]) in mine[0]):
        cells = []
        for r in readers:
            these = off[r] if name == "all off" else [page[condition, name, r] for page in mine]
            cells.append(cell(these, off[r]))
        out.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(out)


def digest(folders: Iterable[Path]) -> str:
    """sha256 over the bytes of all files of the folders."""
    total = hashlib.sha256()
    for folder in folders:
        for file in sorted(p for p in folder.iterdir() if p.suffix in (".jpg", ".xml")):
            total.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:16]


def slopes(folder: Path) -> str:
    """How well the skew of pages is found: the estimate against their baselines' own slope."""
    from ensemble_htr.io.sources import find_pages
    from ensemble_htr.layout.skew import skew_of

    errors = []
    for source in find_pages([folder]):
        page, pixels = load_page(source.read())
        ends = [(x.baseline[0], x.baseline[-1]) for x in page.lines if len(x.baseline) > 1]
        true = [
            np.degrees(np.arctan2(b[1] - a[1], b[0] - a[0])) for a, b in ends if b[0] - a[0] > 300
        ]
        if len(true) >= 3:
            errors.append(abs(skew_of(pixels, page_thickness(page.lines)) - np.median(true)))
    high = np.percentile(errors, 90)
    return (
        f"The page's skew against the median slope of its baselines, {len(errors)} pages of "
        f"fr19/val: half of the estimates are within {np.median(errors):.2f} degrees, nine in ten "
        f"within {high:.2f}."
    )


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--every", default=1, show_default=True, help="Each such line of a page.")
@click.option("--only", "chosen", multiple=True, type=click.Choice(list(STEPS)), help="Steps.")
@click.option("--jobs", default=2, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), default=HERE, show_default=True)
def main(data: Path, every: int, chosen: tuple[str, ...], jobs: int, out: Path) -> None:
    """Measure the steps on DATA/fr19/val and DATA/hands/val and write the tables."""
    folders = [data / "fr19" / "val", data / "hands" / "val"]
    options, made = PipelineOptions(lm=False), commit()
    work = partial(edits_of_page, every, frozenset(chosen or STEPS) | {"all off"})
    pages: list[dict[Key, Edits]] = []
    for folder in folders:
        for found in each_page(work, folder, options, jobs):
            pages.append(found)
            keep(pages, out / "preprocessing.json")
    parts = [
        "# Preprocessing",
        f"`python eval/preprocessing.py DATA --every {every}` on {date.today()}, commit "
        f"{made}, data {digest(folders)}. Greedy CER % of letter lines, profile fr-archive, "
        "one step on at a time; in brackets the difference to all off with its 95 % interval over "
        f"documents (below 0: the step helps). Every {every}. line of each page counts, "
        f"of spoilt pages every {2 * every}.",
        NOTE,
        "## Pages as they are\n\n" + rows(pages, "fr19/val", list(STEPS)),
        rows(pages, "hands/val", list(STEPS)),
        "## Pages of fr19/val spoilt by code\n\n"
        + "\n\n".join(
            f"**{name}**: {' '.join((spoil.__doc__ or '').split())}\n\n"
            + rows(pages, name, ("all off", *names))
            for name, (spoil, names) in SPOILT.items()
            if not chosen or set(chosen) & set(names)
        ),
        "## Deskewing\n\n" + slopes(folders[0]),
    ]
    (out / "preprocessing.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    click.echo("\n\n".join(parts[3:]))


if __name__ == "__main__":
    main()
