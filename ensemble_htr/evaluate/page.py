"""A `Report` as one HTML file that needs nothing else: what to open first and what to send round.

It loads nothing (a content security policy says so) and can be read without scripts; the script
sorts tables and finds lines.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePath
from typing import Any

from ensemble_htr import __version__
from ensemble_htr.errors import EnsembleError
from ensemble_htr.evaluate.groups import Facts
from ensemble_htr.evaluate.plots import Series, chart, nice
from ensemble_htr.evaluate.report import LineScore, Report, Scores
from ensemble_htr.evaluate.views import gap_sentences, normalisation_only
from ensemble_htr.metrics import SHARES, TARGETS, alignment_pairs
from ensemble_htr.text import graphemes
from ensemble_htr.types import Page

__all__ = ["to_html"]

WORST = 200  # lines shown with their pictures
_PICTURES = 4_500_000  # characters of pictures in a file, at most
_LINES = 20_000  # lines that the file can be searched for
_ROWS = 400  # documents, hands or types in a table
_WIDTH = 720  # pixels of a picture
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")  # no HTML may hold these


def to_html(report: Report, facts: Facts = Facts({}, {}, {})) -> str:  # noqa: B008 - frozen
    """The whole document. ``facts`` knows the page files, for the pictures of the worst lines.

    A picture that cannot be had is left out.
    """
    environment = _environment()
    css, js = _resource("page.css"), _resource("page.js")
    digest = base64.b64encode(hashlib.sha256(js.encode()).digest()).decode("ascii")
    best = min(report.systems, key=lambda s: s.overall.cer.value)
    scored = _scored(report)
    axis = nice(min(1.0, max(s.overall.cer.high for s in report.systems)))
    curves = _charts(report, environment)
    safe: Callable[[str], Any] = environment.filters["safe"]
    group = environment.get_template("groups.html.j2")

    def groups(title: str, rows: _Groups) -> Any:
        names = [s.name for s in report.systems]
        return safe(group.render(title=title, rows=rows, systems=names))

    kept = _kept(scored)
    text = environment.get_template("page.html.j2").render(
        r=report,
        title=PurePath(report.ground_truth).name or report.ground_truth,
        first=report.systems[0],
        best=best.name,
        axis=axis,
        scale=lambda value: round(100 * min(1.0, value / axis), 2),
        verdicts=[s.difference.verdict for s in report.systems if s.difference],
        normalised=normalisation_only(report),
        gaps=gap_sentences(report.ensemble) if report.ensemble else [],
        corrections=any(s.corrections for s in report.systems),
        kinds=_kinds(report),
        targets=TARGETS,
        groups=groups,
        documents=_groups([s.documents for s in report.systems]),
        hands=_groups([s.hands for s in report.systems]),
        types=_groups([s.kinds for s in report.systems]),
        names=sorted({row[0].doc for row in kept}),
        worst=_worst(report, scored, facts, safe),
        shown=len(kept),
        total=len(scored),
        data=safe(_data(report, kept)),
        css=safe(css),
        js=safe(js),
        version=__version__,
        policy=(
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
            f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        ),
        **curves,
    )
    return _NOT_TEXT.sub("\ufffd", text)


Row = tuple[LineScore, ...]  # a line as every system read it


def _environment() -> Any:
    import jinja2

    loader = jinja2.FunctionLoader(_resource)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True)
    environment.filters["seen"] = lambda t: t.replace(" ", "␣") or "∅"
    return environment


def _resource(name: str) -> str:
    return files("ensemble_htr.evaluate").joinpath("html", name).read_text(encoding="utf-8")


def _scored(report: Report) -> list[Row]:
    rows = zip(*(s.lines for s in report.systems), strict=True)
    return [row for row in rows if row[0].letters or not report.letters_only]


def _kept(rows: Sequence[Row]) -> list[Row]:
    """Those that the file holds, in the order of the ground truth."""
    if len(rows) <= _LINES:
        return list(rows)
    by_errors = sorted(range(len(rows)), key=lambda i: -sum(x.characters.edits for x in rows[i]))
    return [rows[i] for i in sorted(by_errors[:_LINES])]


def _data(report: Report, rows: Sequence[Row]) -> str:
    """The lines for the script; a reading equal to the reference is 0. Safe inside an element."""
    docs = {d: i for i, d in enumerate(dict.fromkeys(row[0].doc for row in rows))}
    pages = {p: i for i, p in enumerate(dict.fromkeys(row[0].page for row in rows))}
    lines = [
        [
            docs[row[0].doc],
            pages[row[0].page],
            row[0].id,
            row[0].reference,
            [x.characters.edits for x in row],
            [0 if x.reading == x.reference else x.reading for x in row],
        ]
        for row in rows
    ]
    names = [s.name for s in report.systems]
    data = {"systems": names, "docs": list(docs), "pages": list(pages), "lines": lines}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _kinds(report: Report) -> list[tuple[str, list[dict[str, Any]]]]:
    """Kinds of errors, the most frequent first, with a bar for every system."""
    kinds = [k for k in report.systems[0].slips if any(s.slips[k] for s in report.systems)]
    most = max((s.slips[k] for s in report.systems for k in kinds), default=1)
    kinds.sort(key=lambda k: -max(s.slips[k] for s in report.systems))
    return [
        (
            kind,
            [
                {
                    "name": s.name,
                    "edits": s.slips[kind],
                    "share": 100 * s.slips[kind] / max(1, s.overall.characters.edits),
                    "width": round(100 * s.slips[kind] / most, 1),
                }
                for s in report.systems
            ],
        )
        for kind in kinds
    ]


def _charts(report: Report, environment: Any) -> dict[str, Any]:
    """The review and reliability charts; nothing where no system gives confidences."""
    review: list[Series] = []
    reliability: list[Series] = []
    for number, s in enumerate(report.systems):
        if (lines := s.confidences.lines) is not None:
            review.append((number, s.name, list(zip(SHARES, lines.review.left, strict=True))))
        if (characters := s.confidences.characters) is not None:
            points = [(b.confidence, b.accuracy) for b in characters.calibration.bins]
            reliability.append((number, s.name, points))
    safe = environment.filters["safe"]
    if not review:
        return {"review": "", "reliability": ""}
    most = nice(max(points[0][1] for _, _, points in review))
    words = "; ".join(f"{name} from {p[0][1]:.1%} to {p[-1][1]:.1%}" for _, name, p in review)
    titles = ("lines checked, %", "CER left, %")
    drawn = chart(review, (1.0, most), titles, f"Error rate against lines checked: {words}")
    titles = ("claimed, %", "right, %")
    honest = chart(
        reliability,
        (1.0, 1.0),
        titles,
        "Share of right characters against claimed confidence; on the diagonal it is honest",
        diagonal=True,
        dots=True,
    )
    return {"review": safe(drawn), "reliability": safe(honest)}


@dataclass(frozen=True, slots=True)
class _Groups:
    axis: float
    rows: list[dict[str, Any]]


def _groups(systems: Sequence[Mapping[str, Scores]]) -> _Groups | None:
    names = sorted(systems[0], key=lambda n: -systems[0][n].characters.reference)[:_ROWS]
    if not names:
        return None
    rates = {name: [s[name].cer.value for s in systems] for name in names}
    rows = [
        {
            "name": name,
            "lines": systems[0][name].lines,
            "characters": systems[0][name].characters.reference,
            "rates": rates[name],
        }
        for name in sorted(names)
    ]
    return _Groups(nice(min(1.0, max(map(max, rates.values())))), rows)


def _worst(
    report: Report, rows: Sequence[Row], facts: Facts, safe: Callable[[str], Any]
) -> list[dict[str, Any]]:
    """The lines with the most errors of the best system, with their pictures."""
    best = min(range(len(report.systems)), key=lambda i: report.systems[i].overall.cer.value)
    wrong = [row for row in rows if row[best].characters.edits]
    wrong.sort(key=lambda row: -row[best].characters.edits)
    wrong = wrong[:WORST]
    pictures = _pictures(wrong, facts)
    found = []
    for row in wrong:
        line = row[best]
        place = [line.doc, line.page, line.id, line.hand and f"hand {line.hand}", line.kind]
        found.append(
            {
                "place": " · ".join(dict.fromkeys(p for p in place if p)),
                "edits": line.characters.edits,
                "length": line.characters.reference,
                "picture": pictures.get((line.page, line.id), ""),
                "reference": line.reference,
                "diffs": [
                    {"name": s.name, "edits": x.characters.edits, "html": safe(_diff(x))}
                    for s, x in zip(report.systems, row, strict=True)
                ],
            }
        )
    return found


def _diff(line: LineScore) -> str:
    """What is missing as ``del``, what was read instead as ``ins``, escaped."""
    from markupsafe import escape

    if line.missing:
        return "<small>(the system lacks this line)</small>"
    out: list[str] = []
    missing, added = "", ""

    def flush() -> None:
        nonlocal missing, added
        out.extend(
            f"<{tag}>{escape(t)}</{tag}>" for tag, t in (("del", missing), ("ins", added)) if t
        )
        missing = added = ""

    pairs = alignment_pairs(graphemes(line.reference), graphemes(line.reading))
    for wanted, read in pairs:
        if wanted == read:
            flush()
            out.append(str(escape(read)))
        else:
            missing, added = missing + wanted, added + read
    flush()
    return "".join(out) or "<small>(nothing was read)</small>"


def _pictures(rows: Sequence[Row], facts: Facts) -> dict[tuple[str, str], str]:
    """Pictures of lines as ``data:`` URIs, by (page, id), as far as there is room."""
    by_page: dict[str, set[str]] = {}
    for row in rows:
        by_page.setdefault(row[0].page, set()).add(row[0].id)
    found: dict[tuple[str, str], str] = {}
    for stem, names in by_page.items():
        found |= {(stem, name): uri for name, uri in _of_page(facts.page(stem), names)}
    room = _PICTURES
    kept: dict[tuple[str, str], str] = {}
    for row in rows:
        uri = found.get((row[0].page, row[0].id), "")
        if uri and room > len(uri):
            kept[row[0].page, row[0].id] = uri
            room -= len(uri)
    return kept


def _of_page(page: Page | None, names: set[str]) -> list[tuple[str, str]]:
    if page is None or page.image is None:
        return []
    from PIL import Image

    from ensemble_htr.io.images import load_page
    from ensemble_htr.report.pictures import crop_uri

    try:
        scaled, pixels = load_page(page)
    except EnsembleError:
        return []
    picture = Image.fromarray(pixels)
    return [
        (line.id, crop_uri(line, None, picture, (1.0, 1.0), _WIDTH))
        for line in scaled.lines
        if line.id in names
    ]
