"""What fine-tuning on few lines of a hand brings: curves over the number of lines.

    python eval/finetune.py ../shared/data --work FOLDER [--points hard-200] [--recognizers crnn]

`hard-N`: N lines of the five medieval manuscripts of hard/train, scored on the last page of each
(of which nothing is learned) and on hard/test-unseen (three other manuscripts). `fr19-N`: the first
N lines of an unseen hand, scored on its other lines. Both also on fr19/val: what is forgotten of
other hands and of French. CER % of lines with a letter; recognizers greedy, the ensemble of them
with language model and lexicon; only the named recognizers read and learn ("all": those of
`default`); minutes are those of tuning, in one core's time; made: day and commit. Every
point is kept in FOLDER (one for each choice of recognizers, another for other weights) and gone on
with; the table is made of those that are done.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click
from lxml import etree

sys.path.insert(0, str(Path(__file__).parent))

from run import commit  # noqa: E402

from ensemble_htr.decode import greedy  # noqa: E402
from ensemble_htr.files import atomic_write  # noqa: E402
from ensemble_htr.io.sources import find_pages  # noqa: E402
from ensemble_htr.metrics import Counts, edit_counts  # noqa: E402
from ensemble_htr.pipeline import Pipeline, PipelineOptions  # noqa: E402
from ensemble_htr.text import has_letter, profile  # noqa: E402
from ensemble_htr.train.finetune import finetune  # noqa: E402

HERE = Path(__file__).parent
POINTS = ("hard-200", "fr19-30", "hard-50", "hard-764")


def pages_of(folder: Path) -> dict[str, list[Path]]:
    """The XML files of a split by document, in order."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.xml")):
        found.setdefault(path.name.split("__")[0], []).append(path)
    return found


def lines_in(path: Path) -> int:
    return sum(1 for _ in etree.parse(str(path)).getroot().iter("{*}TextLine"))


def make_folder(out: Path, pages: Sequence[Path], wanted: int, take: str) -> None:
    """Pages with ``wanted`` of their lines: evenly spread (``take`` "spread") or the first; with
    -1 all of them but as many as ``take`` says (`skip-N`)."""
    out.mkdir(parents=True, exist_ok=True)
    total, seen = sum(map(lines_in, pages)), 0
    skip = int(take.removeprefix("skip-")) if take.startswith("skip-") else 0
    for path in pages:
        tree, kept = etree.parse(str(path)), 0
        for line in list(tree.getroot().iter("{*}TextLine")):
            if take == "spread":
                keep = (seen + 1) * wanted // total > seen * wanted // total
            else:
                keep = seen >= skip if skip else seen < wanted
            seen, kept = seen + 1, kept + keep
            if not keep:
                line.getparent().remove(line)
        image = path.with_suffix(".jpg")
        if kept:
            tree.write(str(out / path.name), encoding="utf-8", xml_declaration=True)
            if not (out / image.name).exists():
                (out / image.name).symlink_to(image.resolve())


def score(options: PipelineOptions, folder: Path) -> dict[str, float]:
    """Greedy CER of each recognizer and CER of the ensemble, lines with a letter; ``lines``."""
    pipeline, form = Pipeline.load(options), profile("fr-archive")
    counts: dict[str, Counts] = {}
    lines = 0
    for source in find_pages([folder]):
        page, cut = pipeline.cut(source.read())
        cut = [x for x in cut if x.text and form.scorable(x.text) and has_letter(x.text)]
        if not cut:
            continue
        lines += len(cut)
        heard = [r.posteriors(cut) for r in pipeline.recognizers]
        read = {
            r.name: ["".join(greedy(p, r.name).tokens) for p in posteriors]
            for r, posteriors in zip(pipeline.recognizers, heard, strict=True)
        }
        read["ensemble"] = [r.text for r in pipeline.judge_lines(list(zip(*heard, strict=True)))]
        for name, texts in read.items():
            for line, text in zip(cut, texts, strict=True):
                edits = edit_counts(form.tokens(line.text or ""), form.tokens(text))
                counts[name] = counts.get(name, Counts()) + edits
    return {name: c.rate for name, c in counts.items()} | {"lines": lines}


def cached(path: Path, options: PipelineOptions, folder: Path) -> dict[str, float]:
    if not path.is_file():
        atomic_write(path, json.dumps(score(options, folder)))
    found: dict[str, float] = json.loads(path.read_text())
    return found


def prepare(point: str, data: Path, work: Path, document: str) -> tuple[Path, dict[str, Path]]:
    """The folder to learn from and those to score on."""
    pack, _, number = point.partition("-")
    learn = work / point / "lines"
    if pack == "hard":
        pages = pages_of(data / "hard/train")
        last = [own[-1] for own in pages.values()]
        held = work / "hard-held"
        make_folder(held, last, sum(map(lines_in, last)), "first")
        make_folder(learn, [p for own in pages.values() for p in own[:-1]], int(number), "spread")
        return learn, {"hard-held": held, "hard-test-unseen": data / "hard/test-unseen",
                       "fr19-val": data / "fr19/val"}  # fmt: skip
    own = pages_of(data / "fr19/test-unseen")[document]
    rest = work / f"{point}-rest"
    make_folder(learn, own, int(number), "first")
    make_folder(rest, own, -1, f"skip-{number}")
    return learn, {f"{document}, its other lines": rest, "fr19-val": data / "fr19/val"}


def table(results: Sequence[dict[str, Any]]) -> str:
    columns = "readers, point, scored on, lines, who, before, after, change, minutes, made".split(
        ", "
    )
    rows = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for result in results:
        for place, scores in result["scores"].items():
            before, after = scores["before"], scores["after"]
            for name in before:
                if name != "lines":
                    b, a = before[name], after[name]
                    rows.append(
                        f"| {result['recognizers']} | {result['point']} | {place} | "
                        f"{before['lines']} | {name} | {100 * b:.2f} | {100 * a:.2f} | "
                        f"{100 * (a / b - 1):+.0f} % | {result['minutes']:.0f} | {result['made']} |"
                    )
    return "\n".join(rows)


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--work", required=True, type=click.Path(path_type=Path))
@click.option("--points", default=",".join(POINTS), show_default=True)
@click.option("--recognizers", default=None, help="Only these read and learn.")
@click.option("--document", default="rviven", show_default=True, help="The unseen hand of fr19.")
def main(data: Path, work: Path, points: str, recognizers: str | None, document: str) -> None:
    """Run the points that are not done, then write eval/finetune.md and .json."""
    names = tuple(recognizers.split(",")) if recognizers else None
    kept = HERE / "finetune.json"
    results = json.loads(kept.read_text()) if kept.is_file() else []
    for point in points.split(","):
        place = work / point
        learn, tests = prepare(point, data, work, document)
        begun = time.process_time()
        if not (place / "model" / "lock.json").is_file():
            finetune(learn, place / "model", PipelineOptions(recognizers=names))
            minutes = (time.process_time() - begun) / 60
            facts = {"minutes": minutes, "made": f"{date.today()}, {commit()}"}
            atomic_write(place / "facts.json", json.dumps(facts))
        scores = {}
        tag = recognizers or "all"
        for name, folder in tests.items():
            old = work / f"before-{tag}-{name.split(',')[0]}.json"
            before = cached(old, PipelineOptions(recognizers=names), folder)
            new = PipelineOptions(model=str((place / "model").resolve()))
            after = cached(place / f"after-{name.split(',')[0]}.json", new, folder)
            scores[name] = {"before": before, "after": after}
        result = {"point": point, "recognizers": tag, "scores": scores}
        result |= json.loads((place / "facts.json").read_text())
        results = [r for r in results if (r["point"], r["recognizers"]) != (point, tag)]
        results = sorted([*results, result], key=lambda r: (r["recognizers"], r["point"]))
        atomic_write(HERE / "finetune.json", json.dumps(results, indent=1) + "\n")
        text = (__doc__ or "").strip()
        atomic_write(HERE / "finetune.md", f"# Fine-tuning\n\n{text}\n\n{table(results)}\n")
        print(table(results), flush=True)


if __name__ == "__main__":
    main()
