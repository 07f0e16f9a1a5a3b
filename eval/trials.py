"""Small trainings that differ in one thing each: what a choice of the recipe is worth.

    python eval/trials.py run ../shared/data --work FOLDER [--packed PACK] [--only NAME ...]
    python eval/trials.py views ../shared/data          lines read in several copies (no training)
    python eval/trials.py mean ../shared/data --work FOLDER     the mean of two trials' weights
    python eval/trials.py table                          writes eval/trials.md and trials.png

All follow the shipped recipe of crnn (where it says so, of the transformer), with one thread and
its seed. Trials "from nothing" ask how much data is worth: a smaller net (32 px, 0.9 M parameters,
so that it is done with learning soon), eight epochs of 12,000 lines in a schedule of their own.
"Half" and "a quarter" keep those pages of both sources whose names' hashes are lowest. Trials "from
epoch 16" go on from the weights of this repository after 16 epochs (commit fac86bd), 8,000 lines
at 6e-4: they ask what helps a net that reads already. Runs can be interrupted and go on; results
stand in eval/trials.json.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from run import commit  # noqa: E402
from synthetic import SOURCE, synthetic_lines  # noqa: E402

from ensemble_htr.config import from_mapping, to_mapping  # noqa: E402
from ensemble_htr.decode import BeamDecoder, ctc_score, greedy  # noqa: E402
from ensemble_htr.files import atomic_write  # noqa: E402
from ensemble_htr.metrics import bootstrap_difference, char_counts  # noqa: E402
from ensemble_htr.recognizers.attention import load_recognizer  # noqa: E402
from ensemble_htr.recognizers.weights import load_weights, save_weights  # noqa: E402
from ensemble_htr.text import has_letter, profile  # noqa: E402
from ensemble_htr.train import average  # noqa: E402
from ensemble_htr.train.data import Sample, load_folder, read_pack, write_pack  # noqa: E402
from ensemble_htr.train.loop import Trainer  # noqa: E402
from ensemble_htr.train.recipe import Recipe, load_recipe  # noqa: E402
from ensemble_htr.types import Line, Posteriors  # noqa: E402

HERE = Path(__file__).parent
ROOT = HERE.parent
EARLIER = {"crnn": "fac86bd", "transformer": "c428a09"}  # after 16 and 23 epochs
RATE = {"crnn": 6e-4, "transformer": 3e-4}  # of late trials
LINES = 8_000  # of a late trial
SMALL = {"height": 32, "channels": [24, 48, 96], "blocks": [1, 1, 1], "hidden": 128}
SPLITS = ("val", "test-seen", "test-unseen")
WRITTEN = "val, written by the decoder"
PASTE = {
    "texts": [
        {"path": f"text-fr/{name}.txt.xz", "share": share, "wrap": 48 if "novels" in name else 0}
        for name, share in {
            "novels_1840_1920": 0.5,
            "letters_berlioz_notre_dame": 0.08,
            "military_court_1914_1919": 0.12,
            "register_rigault_1907": 0.12,
            "register_marriage_contracts": 0.12,
            "civil_tables_1792_1902": 0.06,
        }.items()
    ]
}
OWN = {"path": "fr19/train", "share": 0.8}
Docs = dict[str, list[int]]  # of each document: edits, characters
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Trial:
    what: str
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # of the recipe
    late: bool = True
    portion: float = 1.0  # of the pages
    net: str = "crnn"


TRIALS = {
    "all": Trial("all lines", late=False),
    "half": Trial("half of the pages", late=False, portion=0.5),
    "quarter": Trial("a quarter of the pages", late=False, portion=0.25),
    "no hands": Trial(
        "fr19/train alone (models/crnn/without-hands.toml)", {"data": {"train": [OWN]}}, late=False
    ),
    "as shipped": Trial("the recipe as it is"),
    "no distortion": Trial("lines as they are", {"augment": {"probability": 0.0}}),
    "stronger distortion": Trial(
        "nine lines in ten distorted, by more (slant 18, elastic 0.05, pale strips and strokes "
        "twice as often)",
        {"augment": {"probability": 0.9, "slant": 18.0, "elastic": 0.05, "erase": 0.3,
                     "stroke": 0.5}},
    ),
    "more dropout": Trial("0.4 instead of 0.2", {"network": {"dropout": 0.4}}),
    "wider lines": Trial(
        "1.2 times as wide as their aspect ratio says", {"network": {"stretch": 1.2}}
    ),
    "taller lines": Trial("56 px high, and so much wider", {"network": {"height": 56}}),
    "shorter average": Trial("of the weights: 0.99 instead of 0.998", {"train": {"ema": 0.99}}),
    "synthetic lines": Trial(
        "one line in five of 4,000 that are period text in ten handwriting fonts (synthetic.py)",
        {"data": {"train": [OWN | {"share": 0.64}, {"path": "hands/train", "share": 0.16},
                            {"path": SOURCE, "share": 0.2}]}},
    ),
    "more modern hands": Trial(
        "two lines in five from hands/train, not one in five",
        {"data": {"train": [OWN | {"share": 0.6}, {"path": "hands/train", "share": 0.4}]}},
    ),
    "pasted lines": Trial(
        "beside them texts without images, pasted together from columns of the last lines read "
        "(train/pasting.py)", {"paste": PASTE},
    ),
    "transformer as shipped": Trial("the recipe as it is", net="transformer"),
    "transformer, pasted lines": Trial(
        "beside them texts without images, as above", {"paste": PASTE}, net="transformer"
    ),
    "transformer, plain targets": Trial(
        "no label smoothing (0.05 as shipped)", {"train": {"smoothing": 0.0}}, net="transformer"
    ),
    "transformer, more CTC": Trial(
        "the decoder's loss counts half", {"train": {"attention": 0.5}}, net="transformer"
    ),
}  # fmt: skip


def recipe_of(trial: Trial, earlier: str) -> Recipe:
    """The recipe of a trial; late ones begin from the weights ``earlier``."""
    recipe = load_recipe(ROOT / "models" / trial.net / "recipe.toml")
    train: dict[str, Any] = {"epochs": 8, "lines_per_epoch": 12_000, "patience": 20}
    if trial.late:
        train |= {
            "epochs": 1,
            "lines_per_epoch": LINES,
            "rate": RATE[trial.net],
            "warmup": 0.05,
            "auxiliary": 0.0,
            "short_first": 0.0,
        }
        train |= {"init": earlier}
    table = to_mapping(recipe)
    table["network"] |= {"stretch": 1.0}  # all trials read lines as wide as they are
    if not trial.late:
        table["network"] = SMALL
    for section, values in (("train", train), *trial.changes.items()):
        table[section] = table[section] | values
    return from_mapping(table, Recipe)


def portion_of(samples: Sequence[Sample], portion: float) -> list[Sample]:
    """The lines of that share of the pages, always the same ones."""

    def rank(sample: Sample) -> float:
        page = sample.id.rpartition("/")[0]
        return int(hashlib.sha256(page.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF

    return [s for s in samples if portion >= 1 or rank(s) < portion]


def lines_of(data: Path, work: Path, packed: Path | None) -> dict[str, list[Sample]]:
    """Lines of the training folders and the splits; cut once, then kept in ``work``."""
    recipe = load_recipe(ROOT / "models" / "crnn" / "recipe.toml")
    found: dict[str, list[Sample]] = {}
    sources = [s.path for s in recipe.data.train] + [f"fr19/{name}" for name in SPLITS]
    for sample in read_pack(packed) if packed else ():
        found.setdefault(sample.source, []).append(sample)
    for name in sources:
        path = work / f"{name.replace('/', '-')}.pack"
        if name not in found and not path.is_file():
            write_pack(path, load_folder(data, name, recipe.data), 0)
        if name not in found:
            found[name] = read_pack(path)
    return found


def errors(read: Callable[[Sequence[Line]], Sequence[str]], samples: Iterable[Sample]) -> Docs:
    """Edits and characters of each document, lines with a letter, profile fr-archive."""
    form, found = profile("fr-archive"), dict[str, list[int]]()
    good = [s for s in samples if has_letter(s.text)]
    for sample, text in zip(good, read([Line(s.id, image=s.image) for s in good]), strict=True):
        counts = char_counts(sample.text, text, form)
        sums = found.setdefault(sample.doc, [0, 0])
        sums[0] += counts.edits
        sums[1] += counts.reference
    return found


def reader(recognizer: Any) -> Callable[[Sequence[Line]], list[str]]:
    def read(lines: Sequence[Line]) -> list[str]:
        return [greedy(p, recognizer.name).text for p in recognizer.posteriors(lines)]

    return read


def writer(recognizer: Any) -> Callable[[Sequence[Line]], list[str]]:
    """What the decoder writes, of four hypotheses and what the CTC proposes."""

    def read(lines: Sequence[Line]) -> list[str]:
        return ["".join(h[0].tokens) for h in recognizer.read(lines, n_best=4)]

    return read


def of_file(path: Path) -> Any:
    """The recognizer that weights make."""
    return load_recognizer("crnn", path, decoder=BeamDecoder(), scorer=ctc_score)


def keep(name: str, row: dict[str, Any]) -> None:
    path = HERE / "trials.json"
    table = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    table[name] = row | {"commit": commit(), "date": str(date.today())}
    atomic_write(path, json.dumps(table, indent=1, ensure_ascii=False) + "\n")


@click.group()
def main() -> None:
    """What a choice of the recipe is worth."""


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--work", required=True, type=click.Path(path_type=Path))
@click.option("--packed", type=click.Path(path_type=Path), help="Lines of `train --pack`.")
@click.option("--only", multiple=True, type=click.Choice(list(TRIALS)))
def run(data: Path, work: Path, packed: Path | None, only: tuple[str, ...]) -> None:
    """Train the trials that have no result yet, and let them read."""
    work.mkdir(parents=True, exist_ok=True)
    earlier = {}
    for net, at in EARLIER.items():
        earlier[net] = work / f"earlier-{net}.safetensors"
        if not earlier[net].is_file():
            command = ["git", "-C", str(ROOT), "show", f"{at}:models/{net}/model.safetensors"]
            atomic_write(earlier[net], subprocess.check_output(command))
    lines = lines_of(data, work, packed)
    results = HERE / "trials.json"
    done = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else {}
    for name in only or [n for n in TRIALS if n not in done]:
        trial = TRIALS[name]
        recipe = recipe_of(trial, str(earlier[trial.net]))
        folder = work / name.replace(" ", "-")
        folder.mkdir(exist_ok=True)
        sources = [s.path for s in recipe.data.train]
        if SOURCE in sources and SOURCE not in lines:
            lines[SOURCE] = synthetic_lines(data / "text-fr", 4000)
        train = portion_of([s for source in sources for s in lines[source]], trial.portion)
        alphabet = of_file(earlier[trial.net]).alphabet if trial.late else None
        trainer = Trainer(recipe, train, lines["fr19/val"], folder, _say, alphabet, data)
        trainer.resume()
        progress = trainer.run()
        net = of_file(folder / "model.safetensors")
        read = reader(net)
        splits = SPLITS[:1] if trial.late else SPLITS  # the tests are no place to choose
        row: dict[str, Any] = {
            "train": len(train),
            "seconds": round(progress.seconds),
            "lines": progress.lines,
        }
        row |= {s: errors(read, lines[f"fr19/{s}"]) for s in splits}
        if trial.net == "transformer":
            row |= {WRITTEN: errors(writer(net), lines["fr19/val"])}
        keep(name, row)


MEAN = "transformer, the mean of both and the shipped"


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--work", required=True, type=click.Path(path_type=Path))
@click.option("--packed", type=click.Path(path_type=Path))
def mean(data: Path, work: Path, packed: Path | None) -> None:
    """Average the transformer's late trials and what they began from (train/average.py)."""
    names = [n.replace(" ", "-") for n, t in TRIALS.items() if t.net == "transformer"]
    files = [work / "earlier-transformer.safetensors"]
    files += [work / name / "model.safetensors" for name in names]
    given = [load_weights(path) for path in files]
    one, path = given[0], work / "mean.safetensors"
    save_weights(
        path, average.mean(given), architecture=one.architecture, network=one.network,
        alphabet=one.alphabet, profile=one.profile, facts={},
    )  # fmt: skip
    val, net = lines_of(data, work, packed)["fr19/val"], of_file(path)
    keep(MEAN, {"val": errors(reader(net), val), WRITTEN: errors(writer(net), val)})


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


# ---- copies of a line --------------------------------------------------------------------


def slanted(image: Image, degrees: float) -> Image:
    """Sheared about the middle of its height: every stroke stays above its column."""
    height, width = image.shape
    shift = np.tan(np.radians(degrees))
    matrix = np.array([[1.0, shift, -shift * height / 2], [0.0, 1.0, 0.0]], np.float32)
    return np.asarray(cv2.warpAffine(image, matrix, (width, height)), np.uint8)


def scaled(image: Image, size: float) -> Image:
    """Taller or flatter about the middle, the width as it is."""
    height, width = image.shape
    matrix = np.array([[1.0, 0.0, 0.0], [0.0, size, (1 - size) * height / 2]], np.float32)
    return np.asarray(cv2.warpAffine(image, matrix, (width, height)), np.uint8)


VIEWS: dict[str, tuple[Callable[[Image], Image], ...]] = {
    "as it is": (),
    "and slanted by 5 degrees both ways": (lambda i: slanted(i, 5), lambda i: slanted(i, -5)),
    "and 8 % taller, 8 % flatter": (lambda i: scaled(i, 1.08), lambda i: scaled(i, 0.92)),
    "all five": (
        lambda i: slanted(i, 5), lambda i: slanted(i, -5),
        lambda i: scaled(i, 1.08), lambda i: scaled(i, 0.92),
    ),
}  # fmt: skip


def averaged(recognizer: Any, lines: Sequence[Line], views: Sequence[Callable[[Image], Image]]):  # type: ignore[no-untyped-def]
    """Posteriors of lines, the logarithms of all copies averaged frame by frame."""
    heard: list[Posteriors] = list(recognizer.posteriors(lines))
    for view in views:
        copies = [replace(x, image=view(x.image)) for x in lines if x.image is not None]
        others = recognizer.posteriors(copies)
        heard = [replace(a, logp=a.logp + b.logp) for a, b in zip(heard, others, strict=True)]
    return heard


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--work", required=True, type=click.Path(path_type=Path))
@click.option("--packed", type=click.Path(path_type=Path))
def views(data: Path, work: Path, packed: Path | None) -> None:
    """Read val in several copies of each line by the shipped crnn (test-time augmentation)."""
    work.mkdir(parents=True, exist_ok=True)
    samples = lines_of(data, work, packed)["fr19/val"]
    crnn = of_file(ROOT / "models" / "crnn" / "model.safetensors")
    for name, copies in VIEWS.items():

        def read(lines: Sequence[Line], copies=copies) -> list[str]:  # type: ignore[no-untyped-def]
            return [greedy(p, "crnn").text for p in averaged(crnn, lines, copies)]

        keep(f"view: {name}", {"val": errors(read, samples)})


# ---- the tables --------------------------------------------------------------------------


def rate(docs: Docs) -> float:
    """CER in percent."""
    edits, characters = np.array(list(docs.values())).sum(axis=0)
    return float(100 * edits / characters)


def against(docs: Docs, other: Docs) -> str:
    """The difference in points with its 95 % interval over documents."""
    pairs = [(docs[d][0], other[d][0], docs[d][1]) for d in other]
    change = bootstrap_difference(*zip(*pairs, strict=True))
    value, low, high = (100 * x for x in (change.value, change.low, change.high))
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def rows(found: Mapping[str, Any], names: Iterable[str], base: str, splits: Sequence[str]) -> str:
    """A table of trials, each against ``base``."""
    out = ["| | " + " | ".join(splits) + " |", "|---|" + "---|" * len(splits)]
    for name in (n for n in names if n in found):
        cells = [f"{rate(found[name][s]):.2f}" for s in splits]
        if name != base and base in found:
            pairs = zip(cells, splits, strict=True)
            cells = [f"{c} ({against(found[name][s], found[base][s])})" for c, s in pairs]
        trial = TRIALS.get(name)
        what = f"**{name}**: {trial.what}" if trial else name.removeprefix("view: ")
        if trial and not trial.late:
            what += f" ({found[name]['train']:,} lines)"
        out.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(out)


def draw(found: Mapping[str, Any], path: Path) -> None:
    """CER over the lines there were to learn from."""
    from matplotlib.figure import Figure

    names = [n for n in ("quarter", "half", "all") if n in found]
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for split, mark in zip(SPLITS, "os^", strict=True):
        points = [(found[n]["train"], rate(found[n][split])) for n in names]
        axes.plot(*zip(*points, strict=True), f"{mark}-", label=split)
    axes.set_xscale("log", base=2)
    counts = [found[n]["train"] for n in names]
    axes.set_xticks(counts, [f"{c:,}" for c in counts])
    axes.minorticks_off()
    axes.set_xlabel("lines to learn from")
    axes.set_ylabel("CER % (letters), greedy")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


@main.command()
def table() -> None:
    """Write eval/trials.md and its picture of what there is."""
    found = json.loads((HERE / "trials.json").read_text(encoding="utf-8"))
    fresh = [n for n, t in TRIALS.items() if not t.late]
    late = [n for n, t in TRIALS.items() if t.late and t.net == "crnn"]
    writing = [*(n for n, t in TRIALS.items() if t.net == "transformer"), MEAN]
    seen = [n for n in fresh if n in found]
    made = sorted({f"{row['commit']} of {row['date']}" for row in found.values()})
    text = [
        "# Small trainings",
        f"`python eval/trials.py run DATA --work FOLDER`, `views`, `mean`, `table`; commits "
        f"{', '.join(made)}. Greedy CER % of lines with a letter, profile fr-archive; in brackets "
        "the difference in points with its 95 % interval over documents (below 0: better).",
        (__doc__ or "").split("\n\n", 2)[2].strip(),
        "## How much data, and which\n\n" + rows(found, fresh, "all", SPLITS),
        "![CER over lines](trials.png)",
        "As many steps for all: with fewer lines each is read more often. The nets are small and "
        "soon done: the differences between rows count, not the rates.",
    ]
    if sum(name in found for name in late) > 1:
        text.append(
            "## What helps a net that reads already\n\n" + rows(found, late, "as shipped", ["val"])
        )
    if sum(name in found for name in writing) > 1:
        columns = ["val", WRITTEN]
        text.append(
            "## What helps the transformer\n\nFrom its weights after 23 epochs (commit "
            f"{EARLIER['transformer']}), {LINES:,} lines at {RATE['transformer']:.0e}; val is read "
            "by its CTC.\n\n" + rows(found, writing, "transformer as shipped", columns)
        )
    if any(name.startswith("view: ") for name in found):
        text.append(
            "## Lines read in several copies\n\nThe shipped crnn, the logarithms of its posteriors "
            "averaged frame by frame over the line as it is and distorted copies of it.\n\n"
            + rows(found, [f"view: {n}" for n in VIEWS], "view: as it is", ["val"])
        )
    if missing := [name for name in TRIALS if name not in found]:
        text.append(f"Not trained yet (`run` does those that are missing): {', '.join(missing)}.")
    atomic_write(HERE / "trials.md", "\n\n".join(text) + "\n")
    if len(seen) > 1:
        draw(found, HERE / "trials.png")
    click.echo("\n\n".join(text[3:]))


if __name__ == "__main__":
    main()
