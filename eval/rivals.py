"""Other recognizers on the same lines: kraken's default network and tesseract's French model.

    python eval/rivals.py lines ../shared/data --work FOLDER    images of lines, as all read
    python eval/rivals.py kraken --work FOLDER [--hours 4.1]    makes its environment, trains
    python eval/rivals.py psm --work FOLDER                     tesseract's modes on some of val
    python eval/rivals.py read --work FOLDER                    both read val and the tests
    python eval/rivals.py speed --work FOLDER                   writes eval/rivals_speed.md
    python eval/rivals.py table --work FOLDER                   writes eval/rivals.md, .json, .png

Everybody gets the lines that our recognizers get: cut from the same pages, straightened along
their baselines, 120 px high (kraken's default; more than our nets look at), black on white, texts
normalised by the profile fr-archive. kraken is trained as `rivals_kraken.py` says (its default
network, loss, optimizer and rate; eight lines a step, in bf16) on all lines of fr19/train
and as many of hands/train as make a fifth of all, the shares of our recipes, for the processor
hours of crnn, the best of our nets by its CTC alone (the transformer, better with its decoder, took
longer); `kraken` can be interrupted and goes on, and `read` and `table` can be called at any time:
they take the weights that were best on val so far. tesseract is read as
it is, in the mode that reads val best: its model has not seen handwriting of this kind.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from rivals_kraken import sample as checked_lines  # noqa: E402
from rivals_table import (  # noqa: E402
    KRAKEN,
    PUBLISHED,
    TESSERACT,
    Rows,
    Training,
    curves,
    draw,
    kraken_notes,
    name_of,
    plain,
    read_rows,
    scores,
    speeds,
    texts_of_tsv,
    training,
)
from run import commit  # noqa: E402
from stored import FOLDER, load, store  # noqa: E402

from ensemble_htr.decode import greedy  # noqa: E402
from ensemble_htr.evaluate import Report, score_records  # noqa: E402
from ensemble_htr.files import atomic_write  # noqa: E402
from ensemble_htr.io.records import Record  # noqa: E402
from ensemble_htr.metrics import Counts, char_counts  # noqa: E402
from ensemble_htr.protocols import WritingRecognizer  # noqa: E402
from ensemble_htr.recognizers.inputs import has_fast_bf16  # noqa: E402
from ensemble_htr.text import has_letter, profile  # noqa: E402
from ensemble_htr.train.data import data_hash, load_folder  # noqa: E402
from ensemble_htr.train.recipe import DataOptions, Source  # noqa: E402
from ensemble_htr.types import SearchOptions  # noqa: E402

HERE = Path(__file__).parent
TRAIN, SHARE = ("fr19/train", "hands/train"), 0.2
SPLITS = ("val", "test-seen", "test-unseen")
HEIGHT = 120
KEEPING = {  # glibc: keep memory that was given back, or page faults take a third of the time
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
TORCH = ("torch==2.13.0", "torchvision==0.28.0")  # one release: no other torch is fetched
PSM = 13  # tesseract's page segmentation mode: one line, no tricks (see `psm`)
CURVES = (
    "kraken by its own count on 200 lines of val, the same every time; ours greedy on all of val. "
    "Core-hours are those of training alone: kraken's of its processor's time, ours of the clock, "
    "on one thread beside other work, so that kraken has rather more than ours."
)
BEST = "crnn"  # our best single net: its processor hours are kraken's
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
        command = [str(python), "-m", "pip", "install", "--quiet", *TORCH, "kraken"]
        subprocess.run(command, check=True)
        (folder / ".ready").touch()
    return python


@main.command()
@work_option
@click.option("--hours", type=float, help="Processor hours in all. [those of our crnn]")
def kraken(work: Path, hours: float | None) -> None:
    """Train kraken's default recognizer, or go on with it."""
    wanted = hours if hours is not None else hours_of(BEST)
    child = [str(_python(work)), str(HERE / "rivals_kraken.py")]
    command = [*child, "train", str(work), "--hours", f"{wanted:.3f}"]
    subprocess.run(command, check=True, env=os.environ | KEEPING)


@main.command()
@work_option
@click.option("--splits", default=",".join(SPLITS), show_default=True)
def read(work: Path, splits: str) -> None:
    """Let both read the splits; kept under eval/readings/rivals-SPLIT.jsonl.xz. What tesseract has
    read it does not read again; kraken does, for its weights may have become better."""
    log = work / "run" / "log.jsonl"
    trained = training(read_rows(log)) if (work / "run" / "best.ckpt").is_file() else None
    for name in splits.split(","):
        rows = _rows(work, name)
        truth = [Record(r["id"], r["text"], r["page"], r["doc"]) for r in rows]
        path = FOLDER / f"rivals-{name}.jsonl.xz"
        found = load(path)[1] if path.exists() else {}
        if trained is not None:
            out = work / f"kraken-{name}.jsonl"
            child = [str(_python(work)), str(HERE / "rivals_kraken.py")]
            listed = str(work / f"{name}.txt")
            subprocess.run([*child, "read", str(work), listed, str(out)], check=True)
            found[KRAKEN] = _records(rows, [row["text"] for row in read_rows(out)])
            atomic_write(work / f"kraken-{name}.json", json.dumps(asdict(trained)))
        if TESSERACT not in found:
            found[TESSERACT] = _records(rows, tesseract([r["image"] for r in rows]))
        store(path, truth, found)


def _records(rows: Rows, texts: list[str]) -> list[Record]:
    form = profile("fr-archive")
    pairs = zip(rows, texts, strict=True)
    return [Record(r["id"], form.apply(text), r["page"], r["doc"]) for r, text in pairs]


def tesseract(images: Sequence[str], mode: int = PSM) -> list[str]:
    """Lines by tesseract's French model, all in one run of it; "" where it finds none."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as listed:
        listed.writelines(f"{image}\n" for image in images)
        listed.flush()
        command = ["tesseract", listed.name, "-", "-l", "fra", "--psm", str(mode), "tsv"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return texts_of_tsv(done.stdout, len(images))


@main.command()
@work_option
@click.option("--lines", "count", default=200, show_default=True)
def psm(work: Path, count: int) -> None:
    """CER of tesseract's modes for blocks, lines, words and raw lines on some lines of val."""
    rows, form = random.Random(11).sample(_rows(work, "val"), count), profile("fr-archive")
    for mode in (6, 7, 8, 13):
        read = _records(rows, tesseract([r["image"] for r in rows], mode))
        counts = Counts.sum(
            char_counts(r["text"], x.text, form) for r, x in zip(rows, read, strict=True)
        )
        click.echo(f"--psm {mode}: {100 * counts.edits / counts.reference:.1f} %")


@main.command()
@work_option
@click.option("--count", default=200, show_default=True, help="Lines of val.")
@click.option("--rounds", default=3, show_default=True, help="The quickest is taken.")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=HERE, show_default=True)
def speed(work: Path, count: int, rounds: int, out: Path) -> None:
    """Lines per second of one core's time: kraken, tesseract, each of our recognizers, our
    ensembles; all in turn, round after round."""
    import torch

    from ensemble_htr.align import compiled
    from ensemble_htr.pipeline import Pipeline, PipelineOptions
    from ensemble_htr.types import Line

    torch.set_num_threads(1)
    rows = _rows(work, "val")
    rows = rows[:: max(1, len(rows) // count)][:count]
    lines = [Line(r["id"], image=255 - np.asarray(Image.open(r["image"]))) for r in rows]
    _write_list(work / "speed.txt", rows)
    pipelines = {name: Pipeline.load(PipelineOptions(model=name)) for name in ("default", "trio")}
    ways: dict[str, Callable[[], float]] = {
        "kraken's network": lambda: _kraken_seconds(work, work / "speed.txt"),
        "tesseract": lambda: _tesseract_seconds([r["image"] for r in rows]),
    }
    for recognizer in pipelines["trio"].recognizers:
        ways[f"our {recognizer.name}"] = _clocked(lambda r=recognizer: _greedy(r, lines))
    for name, pipeline in pipelines.items():
        ways[f"ensemble {name}"] = _clocked(lambda p=pipeline: p.read_lines(lines))
    compiled.warm()
    for pipeline in pipelines.values():
        pipeline.read_lines(lines[:16])
    spent = {name: [way()] for name, way in ways.items()}
    for _ in range(rounds - 1):
        for name, way in ways.items():
            spent[name].append(way())
    quickest = {name: min(seconds) for name, seconds in spent.items()}
    text = [
        "# Speed beside other recognizers",
        f"`python eval/rivals.py speed` on {date.today()}, commit {commit()}: {len(lines)} lines "
        f"of val, cut already, in one run, a core each (processor time, the quickest of {rounds} "
        "rounds). kraken's network, tesseract and our recognizers give a greedy reading, the "
        "ensembles all that `transcribe` gives. kraken reads line by line, as is its default; ours "
        "many at a time, in bf16 where the processor has it"
        f" (here it {'has' if has_fast_bf16() else 'has not'}). Loading models is not counted; how "
        "far kraken's network was trained does not matter here.",
        speeds(quickest, len(lines)),
    ]
    atomic_write(out / "rivals_speed.md", "\n\n".join(text) + "\n")
    click.echo(text[-1])


def _clocked(work: Callable[[], object]) -> Callable[[], float]:
    def call() -> float:
        begun = time.process_time()
        work()
        return time.process_time() - begun

    return call


def _greedy(recognizer: Any, lines: Sequence[Any]) -> None:
    """Its best reading of each line by its image alone."""
    heard = recognizer.posteriors(lines)
    if isinstance(recognizer, WritingRecognizer):
        recognizer.write(heard, SearchOptions(beam=1, n_best=1))
    else:
        for posteriors in heard:
            greedy(posteriors, recognizer.name)


def _kraken_seconds(work: Path, listed: Path) -> float:
    out = work / "speed.jsonl"
    child = [str(_python(work)), str(HERE / "rivals_kraken.py"), "read", str(work)]
    subprocess.run([*child, str(listed), str(out)], check=True)
    return sum(row["seconds"] for row in read_rows(out))


def _tesseract_seconds(images: Sequence[str]) -> float:
    """Less what it takes to load its model: a run over one image is taken away."""
    spent = []
    for some in (images, images[:1]):
        before = os.times()
        tesseract(some)
        after = os.times()
        spent.append(after.children_user - before.children_user)
    return (spent[0] - spent[1]) * len(images) / max(1, len(images) - 1)


@main.command()
@work_option
def table(work: Path) -> None:
    """Score what was read beside our own readings, and draw the learning curves."""
    form = profile("fr-archive")
    states = [_state(work, name) for name in SPLITS]
    if any(state != states[0] for state in states):
        raise click.ClickException("kraken read the splits with different weights: read them again")
    state, budget = states[0], hours_of(BEST)
    reports: dict[str, Report] = {}
    for name in SPLITS:
        truth, rows = load(FOLDER / f"rivals-{name}.jsonl.xz")
        _, trio = load(FOLDER / f"readers-{name}.jsonl.xz")
        _, default = load(FOLDER / f"{name}.jsonl.xz")
        systems = {name_of(n, state, budget): found for n, found in rows.items()}
        systems |= {n: trio[n] for n in ("crnn", "gated", "transformer")}
        systems |= {"ensemble default": default["ensemble"], "ensemble trio": trio["ensemble"]}
        reports[name] = score_records(truth, systems, form, letters_only=True)
    theirs = read_rows(work / "run" / "log.jsonl")
    ours = read_rows(HERE.parent / "models" / BEST / "log.jsonl")
    facts = json.loads((work / "facts.json").read_text())
    versions = {name: _version(work, name) for name in ("kraken", "torch", "torchvision")}
    versions["tesseract"] = _first_line("tesseract")
    text = [
        "# Other recognizers on the same lines",
        f"`python eval/rivals.py table --work FOLDER` on {date.today()}, commit {commit()}; "
        f"{', '.join(f'{n} {v}' for n, v in versions.items())}. Lines with a "
        "letter, profile fr-archive, 95 % intervals by document.",
        (__doc__ or "").split("\n\n", 2)[2].strip(),
        scores(reports),
        *kraken_notes(reports, state, budget, sample_cer(work, "val")),
        f"Published for kraken's default network: {PUBLISHED} % on register pages of these "
        "archives, trained on 42,107 lines for 23 epochs on a GPU. Those are other pages "
        "than these: a reference, not a rival.",
        "## Learning curves\n\n![CER on val over core-hours](rivals.png)",
        CURVES,
        curves(theirs, ours),
        "Lines: "
        + ", ".join(f"{split} {facts[split]['sha256'][:12]}" for split in facts)
        + " (sha256 over ids and texts; of hands-train kraken sees a sample).",
    ]
    atomic_write(HERE / "rivals.md", "\n\n".join(text) + "\n")
    found = {
        "schema": 1, "command": "python eval/rivals.py table", "commit": commit(),
        "date": str(date.today()), "versions": versions, "data": facts, "published": PUBLISHED,
        "training": None if state is None else asdict(state), "budget": 3600 * budget,
        "curve": [row for row in theirs if "val_accuracy" in row],
        "splits": {name: plain(report) for name, report in reports.items()},
    }  # fmt: skip
    atomic_write(HERE / "rivals.json", json.dumps(found, indent=1) + "\n")
    draw(theirs, ours, HERE / "rivals.png")
    click.echo("\n\n".join(text[3:5]))


def _state(work: Path, split: str) -> Training | None:
    path = work / f"kraken-{split}.json"
    return Training(**json.loads(path.read_text())) if path.is_file() else None


def _version(work: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version('{package}'))"
    return subprocess.check_output([str(_python(work)), "-c", code], text=True).strip()


def _first_line(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return (done.stdout or done.stderr).splitlines()[0].removeprefix(program).strip()


def sample_cer(work: Path, split: str) -> float:
    """Our CER of kraken's stored readings on the lines that its own checks are on."""
    listed = (work / f"{split}.txt").read_text(encoding="utf-8").split("\n")[:-1]
    wanted, form = set(checked_lines(listed)), profile("fr-archive")
    truth, rows = load(FOLDER / f"rivals-{split}.jsonl.xz")
    pairs = zip(listed, truth, rows.get(KRAKEN, []), strict=False)
    counts = Counts.sum(char_counts(t.text, r.text, form) for x, t, r in pairs if x in wanted)
    return counts.edits / max(1, counts.reference)


if __name__ == "__main__":
    main()
