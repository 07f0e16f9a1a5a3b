"""A `Report` as tables to read on a terminal, and as TSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from ensemble_htr.evaluate.report import Ensemble, Report
from ensemble_htr.evaluate.words import NEAR
from ensemble_htr.metrics import TARGETS, Estimate

__all__ = ["gap_sentences", "normalisation_only", "to_text", "to_tsv"]

_NAME_WIDTH = 32  # columns
_TSV = (
    "profile system doc page id hand line_type characters edits substitutions insertions deletions "
    "words word_edits missing reference reading"
).split()


def to_text(report: Report, per_document: bool = False) -> str:
    """The report as a table, rates in per cent; every figure with its profile and denominator."""
    several = len(report.systems) > 1
    blocks = [_heading(report), _rates(report)]
    if not report.systems:
        return blocks[0]
    if several:
        blocks.append(_differences(report))
    blocks += [_spread(report), _errors(report), _words(report)]
    if report.beside:
        blocks.append(_beside(report))
    if report.pairs:
        blocks.append(_agreement(report))
    if report.ensemble is not None:
        blocks.append(_ensemble(report))
    if any(s.corrections for s in report.systems):
        blocks.append(_corrections(report))
    if any(s.characters or s.confidences.lines for s in report.systems):
        blocks += [_confidences(report), _review(report)]
    if per_document:
        blocks.append(_documents(report))
    text = "\n\n".join(block for block in blocks if block)
    # names and texts come from files: nothing that a terminal obeys
    return "".join(
        c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


def to_tsv(report: Report) -> str:
    """One row a line and system, with a heading; tabs and line breaks in texts become blanks."""
    out = io.StringIO()
    writer = csv.writer(
        out, "excel-tab", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None
    )
    writer.writerow(_TSV)
    for system in report.systems:
        for line in system.lines:
            c, w = line.characters, line.words
            place = (
                report.profile,
                system.name,
                line.doc,
                line.page,
                line.id,
                line.hand,
                line.kind,
            )
            figures = (c.reference, c.edits, c.substitutions, c.insertions, c.deletions)
            row = (*place, *figures, w.reference, w.edits, int(line.missing))
            texts = (line.reference, line.reading)
            writer.writerow([" ".join(str(cell).split()) for cell in (*row, *texts)])
    return out.getvalue()


def normalisation_only(report: Report) -> list[str]:
    """For each system a sentence: how many of its errors are there under one of the profiles
    beside each other and gone under another."""
    sentences = []
    for system in report.systems:
        edits = {report.profile: system.overall.characters.edits}
        edits |= {score.profile: score.characters[system.name].edits for score in report.beside}
        most, least = max(edits, key=lambda n: edits[n]), min(edits, key=lambda n: edits[n])
        if edits[most] > edits[least]:
            share = 1 - edits[least] / edits[most]
            sentences.append(
                f"{system.name}: of {edits[most]:,} errors under {most}, {share:.1%} are only "
                f"normalisation: gone under {least}"
            )
    return sentences


def _heading(report: Report) -> str:
    scope = "lines with a letter" if report.letters_only else "lines"
    text = [
        f"profile       {report.profile}: {report.profile_description}",
        f"ground truth  {report.ground_truth}: {report.lines:,} {scope} scored"
        + (f", {report.unread:,} unread not scored" if report.unread else ""),
    ]
    if report.systems:
        scores = report.systems[0].overall
        aligned = "" if report.denominator == "reference" else "of the alignments: reference of "
        text += [
            f"denominators  {aligned}{scores.characters.reference:,} characters (CER), "
            f"{scores.words.reference:,} words (WER)",
            f"intervals     {report.level:.0%}, over {scores.clusters:,} "
            f"{scores.unit}{'' if scores.clusters == 1 else 's'}: {report.method}",
        ]
    return "\n".join(text)


def _rates(report: Report) -> str:
    rows = [["per cent", "CER", "", "WER", "", "CER letters", "", "CER no letter", "lines right"]]
    for s in report.systems:
        bare = _percent(s.no_letters.cer.value) if s.no_letters.lines else "-"
        right = _percent(s.overall.right / max(1, s.overall.lines))
        columns = [_with_interval(s.overall.cer), _with_interval(s.overall.wer)]
        columns.append(_with_interval(s.letters.cer) if s.letters.lines else ("-", ""))
        rows.append([s.name, *(cell for pair in columns for cell in pair), bare, right])
    first = report.systems[0] if report.systems else None
    if first is not None:
        lines = (first.letters.lines, first.no_letters.lines, first.overall.lines)
        of = [f"{n:,} lines" for n in lines]
        rows.append(["over", "", of[2], "", of[2], "", of[0], of[1], of[2]])
    return _table(rows)


def _differences(report: Report) -> str:
    rows = [[f"minus {report.systems[0].name}, in points", "CER", "", "WER", "", "CER letters", ""]]
    for s in report.systems:
        if (d := s.difference) is not None:
            columns = [_with_interval(d.cer, "+"), _with_interval(d.wer, "+")]
            columns.append(_with_interval(d.letters_cer, "+") if s.letters.lines else ("-", ""))
            rows.append([s.name, *(cell for pair in columns for cell in pair)])
    verdicts = [s.difference.verdict for s in report.systems if s.difference is not None]
    return "\n".join([_table(rows), *verdicts])


def _spread(report: Report) -> str:
    rows = [
        ["per cent", "", "micro", "mean line", "mean document", "median line", "capped"]
        + ["lines ≥ 50 %", "any order", "words F1", "sub", "ins", "del"]
    ]
    for s in report.systems:
        free = (s.unordered.cer, s.unordered.word_f1)
        kinds = (
            ("CER", s.overall.cer.value, s.spread, s.overall.characters, free),
            ("WER", s.overall.wer.value, s.word_spread, s.overall.words, ()),
        )
        for kind, micro, d, counts, other in kinds:
            rates = (micro, d.macro_lines, d.macro_documents, d.median, d.capped, d.catastrophic)
            shown = [_percent(r) if r == r else "-" for r in (*rates, *other)]
            edits = (counts.substitutions, counts.insertions, counts.deletions)
            name = s.name if kind == "CER" else ""
            shown += [""] * (8 - len(shown))
            rows.append([name, kind, *shown, *(f"{n:,}" for n in edits)])
    recut = [
        f"{s.name}: the lines of {len(s.unordered.recut)} pages are cut otherwise: aligned whole"
        for s in report.systems
        if s.unordered.recut
    ]
    return "\n".join([_table(rows), *recut])


def _errors(report: Report) -> str:
    kinds = [k for k in report.systems[0].slips if any(s.slips[k] for s in report.systems)]
    if not kinds:
        return ""
    rows = [["errors by kind, % of all", *(_cut(s.name) for s in report.systems)]]
    for kind in kinds:
        shares = [s.slips[kind] / max(1, s.overall.characters.edits) for s in report.systems]
        rows.append([kind, *(f"{100 * share:.1f}" for share in shares)])
    table = _table(rows)
    often = [
        f"{_cut(s.name)}: " + ", ".join(
            f"{c.wanted or '·'}→{c.read or '·'} {c.times}" for c in s.confusions[:10]
        ).replace(" →", "␣→").replace("→ ", "→␣ ")
        for s in report.systems
        if s.confusions
    ]  # fmt: skip
    return "\n".join([table, *often])


def _words(report: Report) -> str:
    kinds = list(report.systems[0].word_accuracy)
    head = ["words exact (1 edit), %", *kinds]
    rows = [head]
    for s in report.systems:
        cells = []
        for kind in kinds:
            a = s.word_accuracy[kind]
            near = a.near[NEAR.index(1)] / max(1, a.words)
            cells.append(f"{100 * a.rate:.1f} ({100 * near:.1f})")
        rows.append([s.name, *cells])
    first = report.systems[0].word_accuracy
    rows.append(["over", *(f"{first[kind].words:,}" for kind in kinds)])
    return _table(rows)


def _beside(report: Report) -> str:
    names = [report.profile, *(score.profile for score in report.beside)]
    rows = [["CER under other profiles, %", *map(_cut, names)]]
    for s in report.systems:
        rates = [s.overall.cer.value, *(score.cer[s.name] for score in report.beside)]
        rows.append([s.name, *map(_percent, rates)])
    return "\n".join([_table(rows), *normalisation_only(report)])


def _ensemble(report: Report) -> str:
    e = report.ensemble
    assert e is not None
    over = "" if report.denominator == "reference" else " of the reference"
    rows = [["engines", f"CER{over} %", "right alone (characters)"]]
    rows += [[engine.name, _percent(engine.cer), f"{engine.alone:,}"] for engine in e.engines]
    rows += [
        ["plain vote", _percent(e.vote), ""],
        ["oracle: best line of any", _percent(e.oracle_lines), ""],
        ["oracle: path of the network", _percent(e.oracle_network), ""],
        ["words no engine reads", _percent(e.oracle_words), ""],
    ]
    return "\n".join([_table(rows), *gap_sentences(e)])


def gap_sentences(ensemble: Ensemble) -> list[str]:
    """What each combining system makes of its engines, in a sentence."""
    best = ensemble.best.name
    return [
        f"{name} closes {share:.0%} of the gap between {best} and the network's oracle"
        if share > 0
        else f"{name} reads no better than {best}, its best engine"
        for name, share in ensemble.gap_closed.items()
    ]


def _corrections(report: Report) -> str:
    rows = [["corrections", "fixed", "missed", "wrong otherwise", "broken", "over-correction %"]]
    for s in report.systems:
        for c in s.corrections:
            n = c.counts
            counts = (n.fixed, n.missed, n.changed, n.broken)
            cells = [f"{v:,}" for v in counts]
            rows.append([f"{s.name} of {c.to}", *cells, _percent(n.over_correction)])
    return _table(rows, cut=False)


def _agreement(report: Report) -> str:
    rows = [["errors in common", "phi", "shared %", "identical %", "second - first", "", "p"]]
    rows += [
        [
            f"{_cut(p.first)} & {_cut(p.second)}",
            f"{p.errors.phi:.3f}",
            _percent(p.errors.shared),
            _percent(p.errors.identical),
            *_with_interval(p.difference.cer, "+"),
            f"{p.difference.p:.3f}",
        ]
        for p in report.pairs
    ]
    return _table(rows, cut=False)


def _confidences(report: Report) -> str:
    levels = ("characters", "words", "lines")
    rows = [["confidences", *(f"{f} {v[:-1]}" for v in levels for f in ("ECE", "Brier", "AUROC"))]]
    for s in report.systems:
        cells = []
        for level in levels:
            found = getattr(s.confidences, level)
            c = None if found is None else found.calibration
            cells += ["-"] * 3 if c is None else [f"{v:.3f}" for v in (c.ece, c.brier, c.auroc)]
        rows.append([s.name, *cells])
    return _table(rows)


def _review(report: Report) -> str:
    rows = [["checking lines, least sure first", "errors in 20 %",
             *(f"read for CER ≤ {t:.0%}" for t in TARGETS)]]  # fmt: skip
    for s in report.systems:
        if (found := s.confidences.lines) is not None:
            needed = ["-" if share is None else f"{share:.0%}" for share in found.review.needed]
            rows.append([s.name, f"{found.review.found:.0%}", *needed])
    return _table(rows)


def _documents(report: Report) -> str:
    names = [system.name for system in report.systems]
    rows = [["CER per document, per cent", "lines", "characters", *map(_cut, names)]]
    for doc, scores in report.systems[0].documents.items():
        rates = [_percent(system.documents[doc].cer.value) for system in report.systems]
        count = scores.characters.reference
        rows.append([doc or "(none)", f"{scores.lines:,}", f"{count:,}", *rates])
    return _table(rows)


def _percent(rate: float, sign: str = "") -> str:
    return format(100 * rate, f"{sign}.2f")


def _with_interval(estimate: Estimate, sign: str = "") -> tuple[str, str]:
    low, high = _percent(estimate.low, sign), _percent(estimate.high, sign)
    return _percent(estimate.value, sign), f"[{low}, {high}]"


def _cut(name: str) -> str:
    return name if len(name) <= _NAME_WIDTH else "…" + name[1 - _NAME_WIDTH :]


def _table(rows: Sequence[Sequence[str]], cut: bool = True) -> str:
    """Columns set in line: the first to the left, the others to the right."""
    rows = [[_cut(row[0]) if cut else row[0], *row[1:]] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
