"""Names and words: what the lexicons and the language model mend, and what they break.

    python eval/names.py ../shared/data [--splits val,test-seen]

From the readings that `eval/run.py` keeps of the default ensemble: what the ensemble writes
against what the same judge writes with its lists silent, or with all that knows language silent.
Writes eval/names.md.
"""

from __future__ import annotations

import lzma
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parent))

from run import commit  # noqa: E402
from stored import FOLDER, load  # noqa: E402

from ensemble_htr.evaluate.words import word_faults, word_kinds  # noqa: E402
from ensemble_htr.io.readings import load_records  # noqa: E402
from ensemble_htr.io.records import Record  # noqa: E402
from ensemble_htr.metrics import alignment_pairs  # noqa: E402
from ensemble_htr.names import EDGES, words_of  # noqa: E402
from ensemble_htr.text import graphemes, has_letter, profile  # noqa: E402

HERE = Path(__file__).parent
FULL, NO_LISTS, SILENT = "everything", "lists silent", "language silent"
WAYS = (FULL, NO_LISTS, SILENT)
NEW_NAMES, OLD_NAMES, NEW, DIGITS = (
    "capitalised, in no training line", "capitalised, others", "in no training line", "digits"
)  # fmt: skip
KINDS = ("all", OLD_NAMES, NEW_NAMES, NEW, DIGITS)


def trained_words(data: Path) -> set[str]:
    """Every word of the transcriptions that the recognizers were trained on."""
    texts = [r.text for part in ("fr19", "hands") for r in load_records(data / part / "train")]
    with lzma.open(data / "text-fr" / "fr19_train_lines.txt.xz", "rt", encoding="utf-8") as file:
        texts += file
    form = profile("fr-archive")
    return {w.strip(EDGES) for text in texts for w, _, _ in words_of(graphemes(form.apply(text)))}


def kinds_of(truth: Sequence[str], known: Collection[str]) -> list[list[str]]:
    """For each word of a reference, which of `KINDS` it is."""
    found = []
    words = words_of(truth)
    for (word, _, _), of in zip(words, word_kinds(truth), strict=True):
        core = word.strip(EDGES)
        new = core not in known and any(c.isalpha() for c in core)
        kinds = ["all"]
        if "capitalised" in of:
            kinds.append(NEW_NAMES if new else OLD_NAMES)
        kinds += [NEW] * new + [DIGITS] * ("digits" in of)
        found.append(kinds)
    return found


def right_words(
    truth: Sequence[Record], rows: Mapping[str, Sequence[Record]]
) -> dict[str, list[bool]]:
    """By way to read, whether each word of the lines with a letter is right."""
    found: dict[str, list[bool]] = {name: [] for name in rows}
    for name, records in rows.items():
        by_line = {(r.page, r.id): r.text for r in records}
        for line in truth:
            read = graphemes(by_line.get((line.page, line.id), ""))
            pairs = alignment_pairs(graphemes(line.text), read)
            found[name] += [faults == 0 for faults in word_faults(pairs)]
    return found


def tables(truth: Sequence[Record], rows: Mapping[str, Sequence[Record]], known: set[str]) -> str:
    kinds = [k for line in truth for k in kinds_of(graphemes(line.text), known)]
    right = right_words(truth, rows)
    total = Counter(kind for of in kinds for kind in of)
    ways = [way for way in WAYS if way in rows]
    out = [
        "| words read exactly, % | words | " + " | ".join(ways) + " |",
        "|---|" + "---|" * (1 + len(ways)),
    ]
    for kind in KINDS:
        cells = []
        for way in ways:
            hits = sum(r for r, of in zip(right[way], kinds, strict=True) if kind in of)
            cells.append(f"{100 * hits / max(1, total[kind]):.1f}")
        out.append(f"| {kind} | {total[kind]:,} | " + " | ".join(cells) + " |")
    out += ["", "| against | words | fixed | broken | broken / fixed |", "|---|---|---|---|---|"]
    for way in ways[1:]:
        for kind in KINDS:
            pairs = [
                (before, after)
                for before, after, of in zip(right[way], right[FULL], kinds, strict=True)
                if kind in of
            ]
            fixed = sum(after and not before for before, after in pairs)
            broken = sum(before and not after for before, after in pairs)
            share = f"{100 * broken / fixed:.0f} %" if fixed else "-"
            out.append(f"| {way} | {kind} | {fixed} | {broken} | {share} |")
    return "\n".join(out)


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--splits", default="val,test-seen,test-unseen", show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), default=HERE / "names.md")
def main(data: Path, splits: str, out: Path) -> None:
    """Score names and words of the stored readings."""
    known = trained_words(data)
    parts = [
        "# Names and words",
        f"`python eval/names.py DATA` on {date.today()}, commit {commit()}, from the readings of "
        "`recognition.md`. Lines with a letter, profile fr-archive. A word "
        "is right if there is no edit in it or at the blanks beside it. *In no training line*: "
        "spelled so nowhere in the transcriptions of fr19/train and hands/train.",
    ]
    for split in splits.split(","):
        truth, kept = load(FOLDER / f"{split}.jsonl.xz")
        rows = {
            FULL: kept["ensemble"],
            NO_LISTS: kept["ensemble, lists silent"],
            SILENT: kept["ensemble, LM silent"],
        }
        truth = [r for r in truth if has_letter(r.text)]
        parts.append(f"## {split}\n\n{tables(truth, rows, known)}")
    out.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    click.echo("\n\n".join(parts))


if __name__ == "__main__":
    main()
