"""The tables of eval/: every recognizer alone, with the language model, and the ensemble.

    python eval/run.py ../shared/data [--model trio --name trio] [--jobs 2]

Lines with a letter, profile fr-archive, micro-averaged CER with document-clustered 95 % intervals.
Writes eval/NAME.md and eval/NAME.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parent))

from stored import FOLDER, store  # noqa: E402

from ensemble_htr.assets import read_lock, resolve  # noqa: E402
from ensemble_htr.evaluate import Options, Report, score_records, to_json  # noqa: E402
from ensemble_htr.io.readings import load_records  # noqa: E402
from ensemble_htr.io.records import Record  # noqa: E402
from ensemble_htr.io.sources import PageSource  # noqa: E402
from ensemble_htr.pipeline import Pipeline, PipelineOptions  # noqa: E402
from ensemble_htr.protocols import WritingRecognizer  # noqa: E402
from ensemble_htr.text import profile  # noqa: E402
from ensemble_htr.train.readings import each_page, scorable_lines  # noqa: E402
from ensemble_htr.types import Hypothesis, Posteriors, Reading  # noqa: E402

SPLITS = ("val", "test-seen", "test-unseen")
HERE = Path(__file__).parent
FUSED = " + LM"
SILENT = ", its language module silent"
ALONE = {"inner": 0.0, "beta": 0.3}  # a decoder, its module silent, chosen on judge
BESIDE = {"alpha": 0.3, "inner": 0.3, "beta": 1.0}  # with the n-gram model, chosen on judge
VOTE = "vote of the first readings"
_LARGE = 100  # lines with a letter, of a document that is looked at alone
Rows = dict[str, list[Record]]


def read_all_ways(pipeline: Pipeline, source: PageSource) -> Rows:
    """Every system's reading of every scorable line of one page."""
    page, cut = pipeline.cut(source.read())
    lines = scorable_lines(cut)
    heard = [r.posteriors(lines) for r in pipeline.recognizers]
    written = pipeline.written(heard)
    judged = pipeline.judge_lines(list(zip(*heard, strict=True)))
    others = other_ways(pipeline, heard)
    rows: Rows = {}
    form = profile("fr-archive")

    def add(system: str, line_id: str, text: str, reading: Reading | None = None) -> None:
        sure = None if reading is None else reading.confidences
        whole = None if reading is None else reading.confidence
        words = () if reading is None else tuple((w.text, w.confidence) for w in reading.words)
        record = Record(line_id, text, page.stem, page.doc, sure, words=words, confidence=whole)
        rows.setdefault(system, []).append(record)

    for i, line in enumerate(lines):
        posteriors = [h[i] for h in heard]
        own, fused = pipeline.hypotheses(posteriors, written[i])
        add("truth", line.id, form.apply(line.text or ""))
        for h in own:
            add(h.source, line.id, form.apply(h.text))
        for h in own:
            best = next((f for f in fused if f.source == h.source), h)
            best = others[i].get(f"{h.source}{FUSED}", best)
            add(f"{h.source}{FUSED}", line.id, form.apply(best.text))
        for system, h in others[i].items():
            if system.endswith(SILENT):
                add(system, line.id, form.apply(h.text))
        add(VOTE, line.id, pipeline.combine_line(own, use_lm=False).text)
        add("vote + LM, no images", line.id, pipeline.combine_line(own).text)
        add("ensemble, LM silent", line.id, judged[i].without_lm or "")
        add("ensemble, lists silent", line.id, judged[i].without_lists or "")
        add("ensemble", line.id, judged[i].text, judged[i])
    return rows


def other_ways(
    pipeline: Pipeline, heard: Sequence[Sequence[Posteriors]]
) -> list[dict[str, Hypothesis]]:
    """Line by line, how a decoder with a language module reads otherwise than in the ensemble:
    without the module, and with the n-gram model beside it."""
    found: list[dict[str, Hypothesis]] = [{} for _ in (heard[0] if heard else ())]
    search = pipeline.config.search
    for recognizer, posteriors in zip(pipeline.recognizers, heard, strict=True):
        network = getattr(recognizer, "network", None)
        if not (isinstance(recognizer, WritingRecognizer) and getattr(network, "language", None)):
            continue
        silent = recognizer.write(posteriors, replace(search, **ALONE))
        fused = recognizer.write(posteriors, replace(search, **BESIDE), pipeline.lm)
        for line, one, other in zip(found, silent, fused, strict=True):
            line |= {f"{recognizer.name}{SILENT}": one[0], f"{recognizer.name}{FUSED}": other[0]}
    return found


def merged(pages: Any) -> Rows:
    rows: Rows = {}
    for page in pages:
        for system, records in page.items():
            rows.setdefault(system, []).extend(records)
    return rows


def percent(value: float) -> str:
    return f"{100 * value:.2f}"


def summary(reports: Mapping[str, Report]) -> str:
    """Systems by splits: CER with its interval."""
    names = [s.name for s in next(iter(reports.values())).systems]
    head = "| CER % (letters) | " + " | ".join(reports) + " |\n|---|" + "---|" * len(reports)
    out = [head]
    for name in names:
        cells = []
        for report in reports.values():
            cer = next(s for s in report.systems if s.name == name).letters.cer
            cells.append(f"{percent(cer.value)} [{percent(cer.low)}, {percent(cer.high)}]")
        out.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(out)


def gains(reports: Mapping[str, Report]) -> str:
    """The ensemble against the best single (chosen on val) and confidence figures."""
    val = next(iter(reports.values()))
    rate = {s.name: s.letters.cer.value for s in val.systems}
    fused = min((n for n in rate if n.endswith(FUSED)), key=rate.__getitem__)
    greedy = min((n for n in rate if n + FUSED in rate), key=rate.__getitem__)
    out = [
        f"| against, chosen on val | {' | '.join(reports)} |\n|---|{'---|' * len(reports)}",
    ]
    for rival in (greedy, fused):
        cells = []
        for report in reports.values():
            by = {s.name: s.letters.cer.value for s in report.systems}
            cells.append(f"{100 * (1 - by['ensemble'] / by[rival]):.1f} % lower")
        out.append(f"| {rival} | " + " | ".join(cells) + " |")
    for kind in ("characters", "words", "lines"):
        cells = []
        for report in reports.values():
            sure = next(s for s in report.systems if s.name == "ensemble").confidences
            found = None if sure is None else getattr(sure, kind)
            cells.append(
                "-"
                if found is None
                else f"ECE {found.calibration.ece:.3f}, "
                f"AUROC {found.calibration.auroc:.3f}, {100 * found.review.found:.0f} %"
            )
        out.append(f"| confidences: {kind} | " + " | ".join(cells) + " |")  # fmt: skip
    cells = [closed(report) for report in reports.values()]
    out.append("| gap from the vote to the oracle of its network | " + " | ".join(cells) + " |")
    cells = [worst_document(report, fused) for report in reports.values()]
    out.append(f"| large documents: most above {fused} | " + " | ".join(cells) + " |")
    out.append("")
    out.append("The last figure of a confidence: the share of all errors in its 20 % least sure.")
    return "\n".join(out)


def closed(report: Report) -> str:
    """The share of the way from the tuned vote to the nearest path through the network of the
    first readings that the ensemble goes."""
    rate = {s.name: s.overall.cer.value for s in report.systems}
    assert report.ensemble is not None
    gap = rate[VOTE] - report.ensemble.oracle_network
    share = (rate[VOTE] - rate["ensemble"]) / gap if gap > 0 else 0.0
    return f"{100 * share:.0f} % closed ({percent(report.ensemble.oracle_network)})"


def worst_document(report: Report, rival: str) -> str:
    """Of the documents with many lines, and the others pooled, the one that gains the least."""
    by = {s.name: s.documents for s in report.systems}
    lines: dict[str, list[float]] = {}
    for name, ours in by["ensemble"].items():
        key = name if ours.lines >= _LARGE else "the small ones"
        theirs = by[rival][name].characters
        row = lines.setdefault(key, [0.0, 0.0])
        row[0] += ours.characters.edits - theirs.edits
        row[1] += ours.characters.reference
    points = {key: 100 * edits / max(1.0, size) for key, (edits, size) in lines.items()}
    worst = max(points, key=points.__getitem__)
    return f"{points[worst]:+.2f} points ({worst}, of {len(points)})"


def diversity(reports: Mapping[str, Report]) -> str:
    out = ["| split | pair | phi of the errors | share of errors in common |", "|---|---|---|---|"]
    for split, report in reports.items():
        names = {s.name for s in report.systems}
        for pair in report.pairs:
            if {pair.first + FUSED, pair.second + FUSED} <= names:
                e = pair.errors
                out.append(
                    f"| {split} | {pair.first}, {pair.second} | {e.phi:.3f} | {e.shared:.3f} |"
                )
    return "\n".join(out)


def per_document(report: Report) -> str:
    names = [s.name for s in report.systems]
    out = [
        "| document | characters | " + " | ".join(names) + " |",
        "|---|---|" + "---|" * len(names),
    ]
    for doc, scores in sorted(report.systems[0].documents.items()):
        cells = [percent(s.documents[doc].cer.value) for s in report.systems]
        out.append(f"| {doc} | {scores.characters.reference} | " + " | ".join(cells) + " |")
    return "\n".join(out)


def bits(pipeline: Pipeline, rows: Rows, latin: Path) -> str:
    """Bits per character under the LM: by document of val, and of text that is not French."""
    per_doc: dict[str, list[str]] = {}
    for record in rows["gated"]:
        per_doc.setdefault(record.doc, []).append(record.text)
    values = sorted(pipeline.lm_fits(texts)[1] for texts in per_doc.values())
    middle = values[len(values) // 2]
    out = [
        f"Greedy readings of gated, by document of val: {values[0]:.2f} to {values[-1]:.2f} bits "
        f"per character, median {middle:.2f}."
    ]
    if latin.is_dir():
        foreign = pipeline.lm_fits(r.text for r in load_records(latin))[1]
        out.append(f"Medieval Latin (transcriptions of hard/val): {foreign:.2f}.")
    out.append(f"The LM speaks up to {pipeline.judge.model.foreign_bits}.")
    return " ".join(out)


def commit() -> str:
    """What the clone is at; "-dirty" where a file differs that is no table of figures itself."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(HERE.parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    tables = [f":(exclude)eval/*.{kind}" for kind in ("md", "json", "png")]
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *tables)
    return git("describe", "--always") + ("-dirty" if changed else "")


def weights_of(pipeline: Pipeline) -> str:
    """How long the recognizers were trained, by their locks on the shelf."""
    told, near = [], resolve("models", pipeline.options.model)
    for name in (r.name for r in pipeline.recognizers):
        p = read_lock(resolve("models", name, near=near)).facts["progress"]
        told.append(
            f"{name}, epoch {p['best_epoch']}, {p['lines']} lines trained on in "
            f"{p['seconds'] / 3600:.2f} core-hours"
        )
    return f"Weights: {'; '.join(told)}."


def read_split(
    folder: Path, options: PipelineOptions, jobs: int, kept: Path
) -> tuple[Report, Rows]:
    """Every system's score and reading of the lines of a split that have a letter; the readings
    are kept for `figures.py`."""
    rows = merged(each_page(read_all_ways, folder, options, jobs))
    truth = rows.pop("truth")
    store(kept, truth, rows)
    engines = tuple(name for name in rows if f"{name}{FUSED}" in rows)
    looked = Options(engines=engines)
    form = profile("fr-archive")
    return score_records(truth, rows, form, letters_only=True, options=looked), rows


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--splits", default=",".join(SPLITS), show_default=True)
@click.option("--model", default="default", show_default=True)
@click.option("--name", default="recognition", show_default=True)
@click.option("--jobs", default=2, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), default=HERE, show_default=True)
def main(data: Path, splits: str, model: str, name: str, jobs: int, out: Path) -> None:
    """Read the splits of DATA/fr19 in every way and write the tables."""
    reports: dict[str, Report] = {}
    kept: dict[str, Rows] = {}
    options = PipelineOptions(model=model)
    for split in splits.split(","):
        stored = FOLDER / f"{'' if name == 'recognition' else f'{name}-'}{split}.jsonl.xz"
        reports[split], kept[split] = read_split(data / "fr19" / split, options, jobs, stored)
    pipeline = Pipeline.load(options)
    parts = [
        "# Recognition of fr19",
        f"`python eval/run.py DATA --model {model} --name {name}` on {date.today()}, commit "
        f"{commit()}. "
        "Every recognizer alone, with the language model, and the ensemble. Lines with a letter, "
        "profile fr-archive; 95 % intervals are by document. Fusion weights, "
        "judge and calibration are fitted on fr19/judge; val chose the best single systems.",
        weights_of(pipeline),
        summary(reports),
        gains(reports),
        "## Diversity\n\nErrors of the greedy readings on the same reference characters.\n\n"
        + diversity(reports),
        "## Where the LM speaks in `combine`\n\n"
        + bits(pipeline, next(iter(kept.values())), data / "hard" / "val"),
        *(f"## {split} by document (CER %)\n\n{per_document(r)}" for split, r in reports.items()),
    ]
    (out / f"{name}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    found = {split: to_json(report) for split, report in reports.items()}
    (out / f"{name}.json").write_text(json.dumps(found, default=str) + "\n")
    click.echo("\n\n".join(parts[2:6]))


if __name__ == "__main__":
    main()
