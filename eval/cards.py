"""Scores and failures beside each model's card, from the stored readings of the tests.

    python eval/cards.py ../shared/data [--check]

Writes for every model of the shelf ``scores.md`` (error rates with intervals, in all, by document
and by hand) and ``failures.png`` (the documents, and what is taken for what), and puts both into
its lock. Hands come from the manifests of the data. A table says which weights it is of; with
``--check`` nothing is written, and the exit status is 1 if one is of others than those on the
shelf.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parent))

from run import commit  # noqa: E402
from stored import FOLDER, load  # noqa: E402

from ensemble_htr.assets import read_lock, sha256_file, write_lock  # noqa: E402
from ensemble_htr.evaluate import SystemReport, score_records  # noqa: E402
from ensemble_htr.evaluate.groups import facts_of  # noqa: E402
from ensemble_htr.evaluate.report import Scores  # noqa: E402
from ensemble_htr.evaluate.score import Options  # noqa: E402
from ensemble_htr.files import atomic_write  # noqa: E402
from ensemble_htr.metrics import Estimate  # noqa: E402
from ensemble_htr.text import profile  # noqa: E402

SHELF = Path(__file__).parent.parent / "models"
SPLITS = ("val", "test-seen", "test-unseen")
MODELS = {  # where each model's readings are: prefix of the file, name of the system
    "crnn": ("readers-", "crnn"),
    "gated": ("readers-", "gated"),
    "transformer": ("readers-", "transformer"),
    "default": ("", "ensemble"),
    "trio": ("readers-", "ensemble"),
}
WROTE = {"transformer": ", its decoder writing"}
TABLE, PICTURE = "scores.md", "failures.png"
FEW = 10  # lines of a document or hand below which its rate says nothing


def product(model: str) -> str:
    """sha256 of what reads: the weights, of an ensemble what judges."""
    folder = SHELF / model
    names = ("model.safetensors", "combiner.json")
    return sha256_file(next(folder / n for n in names if (folder / n).is_file()))


def told(model: str) -> bool:
    """Whether the model's scores are those of what lies on the shelf."""
    path = SHELF / model / TABLE
    return path.is_file() and product(model)[:16] in path.read_text(encoding="utf-8")


def scores_of(data: Path, model: str) -> dict[str, SystemReport]:
    """Its scores on each split: lines with a letter, profile fr-archive."""
    prefix, system = MODELS[model]
    found = {}
    for split in SPLITS:
        truth, rows = load(FOLDER / f"{prefix}{split}.jsonl.xz")
        options = Options(facts=facts_of(data / "fr19" / split))
        form, read = profile("fr-archive"), {system: rows[system]}
        report = score_records(truth, read, form, letters_only=True, options=options)
        found[split] = report.systems[0]
    return found


def cell(estimate: Estimate) -> str:
    low, high = 100 * estimate.low, 100 * min(1.0, estimate.high)
    return f"{100 * estimate.value:.2f} [{low:.2f}, {high:.2f}]"


def groups(found: Mapping[str, Scores], what: str, of: Mapping[str, set[str]]) -> str:
    """A table of documents or hands, the most difficult first, with what is known ``of`` each;
    small ones in one row."""
    head = ["document", "hand"] if what == "document" else ["hand", "documents"]
    out = [f"| {' | '.join(head)} | lines | CER % | WER % |", "|---|---|---|---|---|"]
    large = {n: s for n, s in found.items() if s.lines >= FEW}
    for name, s in sorted(large.items(), key=lambda each: -each[1].cer.value):
        known = ", ".join(sorted(of[name]))
        out.append(f"| {name} | {known} | {s.lines:,} | {cell(s.cer)} | {cell(s.wer)} |")
    if small := [s for n, s in found.items() if n not in large]:
        edits = sum(s.characters.edits for s in small)
        length = max(1, sum(s.characters.reference for s in small))
        lines = sum(s.lines for s in small)
        out.append(
            f"| {len(small)} with fewer than {FEW} | | {lines} | {100 * edits / length:.2f} | |"
        )
    return "\n".join(out)


def table_of(model: str, found: Mapping[str, SystemReport], made: str) -> str:
    whole = ["| split | lines | CER % | WER % | lines without an error |", "|---|---|---|---|---|"]
    for split, system in found.items():
        s = system.overall
        right = f"{100 * s.right / s.lines:.1f} %"
        whole.append(f"| {split} | {s.lines:,} | {cell(s.cer)} | {cell(s.wer)} | {right} |")
    parts = [
        f"# Scores of {model}",
        f"`python eval/cards.py DATA` on {date.today()}, commit {made}, of the weights "
        f"{product(model)[:16]} (sha256){WROTE.get(model, '')}. fr19, lines with a letter, "
        "profile fr-archive, micro-averaged, 95 % intervals: of a split over its documents, of a "
        "document or a hand over what it has more than one of: documents, pages or lines. "
        "val chose the weights, no test did.",
        "\n".join(whole),
        f"![documents, and what is taken for what]({PICTURE})",
    ]
    for split in SPLITS[1:]:
        hands, documents = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
        for line in found[split].lines:
            hands[line.doc].add(line.hand)
            documents[line.hand].add(line.doc)
        parts += [f"## {split}", groups(found[split].documents, "document", hands)]
        more = {h: s for h, s in found[split].hands.items() if len(documents[h]) > 1}
        if more:
            parts += ["Hands of more than one document:", groups(more, "hand", documents)]
    return "\n\n".join(parts) + "\n"


def draw(found: Mapping[str, SystemReport], path: Path) -> None:
    """Documents by their CER with intervals, and the most frequent confusions of both tests."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    left, right = figure.subplots(1, 2)
    shown = [
        (f"{name} ({s.lines})", s.cer, split)
        for split in SPLITS[1:]
        for name, s in found[split].documents.items()
        if s.lines >= FEW
    ]
    shown.sort(key=lambda each: each[1].value)
    for split, colour in zip(SPLITS[1:], ("tab:blue", "tab:orange"), strict=True):
        rows = [(i, e) for i, (_, e, of) in enumerate(shown) if of == split]
        values = [100 * e.value for _, e in rows]
        lows = [100 * (e.value - max(0.0, e.low)) for _, e in rows]
        highs = [100 * (min(1.0, e.high) - e.value) for _, e in rows]
        places = [i for i, _ in rows]
        left.errorbar(values, places, xerr=(lows, highs), fmt="o", color=colour, label=split)
    left.set_yticks(range(len(shown)), [name for name, *_ in shown], fontsize="small")
    left.set_xlabel("CER % with 95 % interval, by document (lines)")
    left.grid(axis="x", alpha=0.3)
    left.legend(frameon=False, loc="lower right")
    times: dict[str, int] = {}
    for split in SPLITS[1:]:
        for c in found[split].confusions:
            name = f"{spelled(c.wanted)}  as  {spelled(c.read)}"
            times[name] = times.get(name, 0) + c.times
    most: Sequence[tuple[str, int]] = sorted(times.items(), key=lambda each: each[1])[-30:]
    right.barh([name for name, _ in most], [count for _, count in most], color="tab:gray")
    right.tick_params(axis="y", labelsize="small")
    right.set_xlabel("times in both tests (what stands there as what was read)")
    figure.savefig(path, dpi=80)


def spelled(text: str) -> str:
    """A character as it can be seen in a label."""
    if not text:
        return "nothing"
    return "space" if text == " " else text.replace("$", r"\$")


def lock_with(model: str, names: Sequence[str]) -> None:
    """The model's lock with some more files."""
    folder = SHELF / model
    lock = read_lock(folder)
    facts: dict[str, Any] = dict(lock.facts)
    write_lock(
        folder, {*lock.files, *names}, licence=lock.licence, data=lock.data, tools=lock.tools,
        facts=facts,
    )  # fmt: skip


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing; 1 if a table is of other weights.")
def main(data: Path, check: bool) -> None:
    """Put scores and failures beside the cards."""
    if check:
        if old := [model for model in MODELS if not told(model)]:
            click.echo(f"scores of other weights: {', '.join(old)}", err=True)
            raise SystemExit(1)
        return
    made = commit()  # before a lock changes
    for model in MODELS:
        found = scores_of(data, model)
        draw(found, SHELF / model / PICTURE)
        atomic_write(SHELF / model / TABLE, table_of(model, found, made))
        lock_with(model, (TABLE, PICTURE))
        click.echo(f"{model}: {cell(found['test-unseen'].overall.cer)} on test-unseen", err=True)


if __name__ == "__main__":
    main()
