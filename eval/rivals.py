"""Other recognizers on the same lines: kraken's default network and tesseract's French model.

    python eval/rivals.py lines ../shared/data --work FOLDER    images of lines, as all read
    python eval/rivals.py kraken --work FOLDER [--hours 4.1]    makes its environment, trains
    python eval/rivals.py read --work FOLDER                    both read val and the tests
    python eval/rivals.py speed --work FOLDER                   writes eval/rivals_speed.md
    python eval/rivals.py table --work FOLDER                   writes eval/rivals.md

Everybody gets the lines that our recognizers get: cut from the same pages, straightened along
their baselines, 120 px high (kraken's default; more than our nets look at), black on white, texts
normalised by the profile fr-archive. kraken is trained with its defaults on all lines of fr19/train
and as many of hands/train as make a fifth of all, the shares of our recipes, for the processor
hours that our best single net took; `kraken` can be interrupted and goes on. tesseract is read as
it is: its model has not seen handwriting of this kind.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from run import commit  # noqa: E402
from stored import FOLDER, load, store  # noqa: E402

from ensemble_htr.evaluate import score_records  # noqa: E402
from ensemble_htr.files import atomic_write  # noqa: E402
from ensemble_htr.io.records import Record  # noqa: E402
from ensemble_htr.text import has_letter, profile  # noqa: E402
from ensemble_htr.train.data import data_hash, load_folder  # noqa: E402
from ensemble_htr.train.recipe import DataOptions, Source  # noqa: E402

HERE = Path(__file__).parent
TRAIN, SHARE = ("fr19/train", "hands/train"), 0.2
SPLITS = ("val", "test-seen", "test-unseen")
HEIGHT = 120
TORCH = "torch==2.13.0"
PUBLISHED = 7.42  # kraken on register pages of these archives, 42,107 lines, a GPU (its model card)
work_option = click.option("--work", required=True, type=click.Path(path_type=Path))


@click.group()
def main() -> None:
    """Train and read other recognizers on the same lines."""


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
@work_option
def lines(data: Path, work: Path) -> None:
    """Cut the lines of all splits into images with their texts beside them."""
    options = DataOptions((Source("own"),), "own", height=HEIGHT)
    facts: dict[str, Any] = {}
    for split in (*TRAIN, *(f"fr19/{name}" for name in SPLITS)):
        name = split.replace("/", "-") if split in TRAIN else split.split("/")[1]
        if (work / f"{name}.json").is_file():
            continue
        samples = load_folder(data, split, options)
        if split not in TRAIN:
            samples = [s for s in samples if has_letter(s.text)]
        place = work / "lines" / name
        place.mkdir(parents=True, exist_ok=True)
        rows = []
        for number, sample in enumerate(samples):
            path = place / f"{number:05d}.png"
            cv2.imwrite(str(path), 255 - sample.image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
            path.with_suffix(".gt.txt").write_text(sample.text + "\n", encoding="utf-8")
            page, _, line = sample.id.rpartition("/")
            row = {"image": str(path.resolve()), "id": line, "page": page, "doc": sample.doc}
            rows.append(row | {"text": sample.text})
        facts[name] = {"lines": len(rows), "sha256": data_hash(samples)}
        atomic_write(work / f"{name}.json", json.dumps(rows, ensure_ascii=False))
        click.echo(f"{split}: {len(rows)} lines", err=True)
    own, other = (_rows(work, split.replace("/", "-")) for split in TRAIN)
    count = min(len(other), round(len(own) * SHARE / (1 - SHARE)))
    _write_list(work / "train.txt", own + random.Random(11).sample(other, count))
    for name in SPLITS:
        _write_list(work / f"{name}.txt", _rows(work, name))
    if facts:
        atomic_write(work / "facts.json", json.dumps(facts, indent=1))


def _rows(work: Path, name: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads((work / f"{name}.json").read_text(encoding="utf-8"))
    return rows


def _write_list(path: Path, rows: list[dict[str, str]]) -> None:
    atomic_write(path, "".join(row["image"] + "\n" for row in rows))


def hours_of(model: str) -> float:
    """Processor hours that one of our recognizers was trained, by its lock."""
    lock = json.loads((HERE.parent / "models" / model / "lock.json").read_text())
    return float(lock["progress"]["seconds"]) / 3600


def _python(work: Path) -> Path:
    """kraken's interpreter; its environment is made where it is not there."""
    folder = work / "kraken"
    python = folder / "bin" / "python"
    if not (folder / ".ready").is_file():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        for packages in ([TORCH], ["kraken"], ["--force-reinstall", "--no-deps", TORCH]):
            command = [str(python), "-m", "pip", "install", "--quiet", *packages]
            subprocess.run(command, check=True)
        (folder / ".ready").touch()
    return python


@main.command()
@work_option
@click.option("--hours", type=float, help="Processor hours in all. [those of our crnn]")
def kraken(work: Path, hours: float | None) -> None:
    """Train kraken's default recognizer, or go on with it."""
    wanted = hours if hours is not None else hours_of("crnn")
    child = [str(_python(work)), str(HERE / "rivals_kraken.py")]
    subprocess.run([*child, "train", str(work), "--hours", f"{wanted:.3f}"], check=True)


@main.command()
@work_option
@click.option("--splits", default=",".join(SPLITS), show_default=True)
def read(work: Path, splits: str) -> None:
    """Let both read the splits; kept under eval/readings/rivals-SPLIT.jsonl.xz."""
    for name in splits.split(","):
        rows = _rows(work, name)
        truth = [Record(r["id"], r["text"], r["page"], r["doc"]) for r in rows]
        found: dict[str, list[Record]] = {}
        path = FOLDER / f"rivals-{name}.jsonl.xz"
        kept = load(path)[1] if path.exists() else {}
        if (work / "run" / "best.ckpt").is_file():
            out = work / f"kraken-{name}.jsonl"
            child = [str(_python(work)), str(HERE / "rivals_kraken.py")]
            listed = str(work / f"{name}.txt")
            subprocess.run([*child, "read", str(work), listed, str(out)], check=True)
            texts = [json.loads(x)["text"] for x in out.read_text(encoding="utf-8").splitlines()]
            found["kraken"] = _records(rows, texts)
        if "tesseract" in kept:
            found["tesseract"] = kept["tesseract"]
        else:
            found["tesseract"] = _records(rows, [tesseract(r["image"]) for r in rows])
        store(path, truth, found)


def _records(rows: list[dict[str, str]], texts: list[str]) -> list[Record]:
    form = profile("fr-archive")
    pairs = zip(rows, texts, strict=True)
    return [Record(r["id"], form.apply(text), r["page"], r["doc"]) for r, text in pairs]


def tesseract(image: str) -> str:
    """One line, by tesseract's French model; "" where it finds none."""
    command = ["tesseract", image, "-", "-l", "fra", "--psm", "13"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return " ".join(done.stdout.split())


@main.command()
@work_option
@click.option("--count", default=200, show_default=True, help="Lines of val.")
def speed(work: Path, count: int) -> None:
    """Lines per second of one core's time: kraken, each of our recognizers, our ensembles."""
    import torch

    from ensemble_htr.align import compiled
    from ensemble_htr.pipeline import Pipeline, PipelineOptions
    from ensemble_htr.types import Line

    torch.set_num_threads(1)
    rows = _rows(work, "val")
    rows = rows[:: max(1, len(rows) // count)][:count]
    lines = [Line(r["id"], image=255 - np.asarray(Image.open(r["image"]))) for r in rows]
    _write_list(work / "speed.txt", rows)
    out = work / "speed.jsonl"
    child = [str(_python(work)), str(HERE / "rivals_kraken.py"), "read", str(work)]
    subprocess.run([*child, str(work / "speed.txt"), str(out)], check=True)
    spent = {"kraken's network": sum(json.loads(x)["seconds"] for x in out.open())}
    compiled.warm()
    for name in ("default", "trio"):
        pipeline = Pipeline.load(PipelineOptions(model=name))
        pipeline.read_lines(lines[:16])
        if name == "trio":
            for recognizer in pipeline.recognizers:
                begun = time.process_time()
                recognizer.posteriors(lines)
                spent[f"our {recognizer.name}"] = time.process_time() - begun
        begun = time.process_time()
        pipeline.read_lines(lines)
        spent[f"ensemble {name}"] = time.process_time() - begun
    text = [
        "# Speed beside kraken",
        f"`python eval/rivals.py speed` on {date.today()}, commit {commit()}: {len(lines)} lines "
        "of val, cut already, in one run, a core each (processor time). kraken's network and our "
        "recognizers give posteriors and a greedy reading, the ensembles everything.",
        "| | lines/s | beside kraken |\n|---|---|---|",
    ]
    base = spent["kraken's network"]
    table = [f"| {n} | {len(lines) / x:.1f} | {base / x:.1f} |" for n, x in spent.items()]
    atomic_write(HERE / "rivals_speed.md", "\n\n".join(text) + "\n" + "\n".join(table) + "\n")
    click.echo("\n".join(table))


@main.command()
@work_option
def table(work: Path) -> None:
    """Score what was read beside our own readings, and draw the learning curves."""
    reports = {}
    for name in SPLITS:
        truth, rows = load(FOLDER / f"rivals-{name}.jsonl.xz")
        _, own = load(FOLDER / f"readers-{name}.jsonl.xz")
        ours = {n: own[n] for n in ("crnn", "gated", "transformer", "ensemble")}
        both = {**rows, **ours}
        reports[name] = score_records(truth, both, profile("fr-archive"), letters_only=True)
    curve = [json.loads(row) for row in (work / "run" / "log.jsonl").read_text().splitlines()]
    spent, ours_spent = curve[-1]["seconds"] / 3600, hours_of("crnn")
    names = [s.name for s in reports[SPLITS[0]].systems]
    out = ["| CER % (WER %) | " + " | ".join(SPLITS) + " |", "|---|" + "---|" * len(SPLITS)]
    for name in names:
        cells = []
        for report in reports.values():
            s = next(s for s in report.systems if s.name == name)
            cer = s.letters.cer
            cells.append(
                f"{100 * cer.value:.2f} [{100 * cer.low:.2f}, {100 * cer.high:.2f}] "
                f"({100 * s.letters.wer.value:.1f})"
            )
        out.append(f"| {name} | " + " | ".join(cells) + " |")
    halves = []
    for name in SPLITS:
        rate = {s.name: s.letters.cer.value for s in reports[name].systems}
        halves.append(f"{name} {100 * rate['ensemble'] / rate['kraken']:.0f} %")
    checks = [row for row in curve if "val_accuracy" in row]
    theirs = [
        f"| {row['seconds'] / 3600:.2f} | {row['lines']:,} | "
        f"{100 * (1 - row['val_accuracy']):.1f} |"
        for row in checks
    ]
    log = (HERE.parent / "models" / "crnn" / "log.jsonl").read_text().splitlines()
    mine = [
        f"| {row['seconds'] / 3600:.2f} | {row['lines']:,} | {100 * row['val_cer']:.1f} |"
        for row in map(json.loads, log)
    ]
    head = "| core-hours | lines | val CER % |\n|---|---|---|\n"
    text = [
        "# Other recognizers on the same lines",
        (__doc__ or "").split("\n\n", 2)[2].strip(),
        f"`python eval/rivals.py table` on {date.today()}, commit {commit()}. Lines with a letter, "
        "profile fr-archive, 95 % intervals by document. kraken 7.1.1 was trained for "
        f"{spent:.2f} of {ours_spent:.2f} core-hours (checking val not counted); ours read "
        "greedily, the ensemble is `trio` with its language models and lexicon. Errors of the "
        f"ensemble against kraken's: {', '.join(halves)}. Published: {PUBLISHED} % for kraken's "
        "default network on register pages of these archives, trained on 42,107 lines for 23 "
        "epochs on a GPU (other pages, not split by document).",
        "\n".join(out),
        "## Learning curves\n\nkraken (its own CER, on 200 lines of val):\n\n"
        + head
        + "\n".join(theirs),
        "our crnn (greedy, all of val):\n\n" + head + "\n".join(mine),
    ]
    atomic_write(HERE / "rivals.md", "\n\n".join(text) + "\n")
    click.echo(text[3])


if __name__ == "__main__":
    main()
