"""The demo: the bundled page, read; what each recognizer said of it and what was chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ensemble_htr.assets import resolve
from ensemble_htr.files import atomic_write
from ensemble_htr.io.records import read_tsv
from ensemble_htr.io.results import PageResult
from ensemble_htr.io.write import write_result
from ensemble_htr.metrics import Counts, char_counts
from ensemble_htr.report import HtmlOptions, explain, render_html
from ensemble_htr.text import profile
from ensemble_htr.types import Reading

__all__ = ["run_demo"]

_PROFILE = "fr-archive"


def run_demo(
    read: Callable[[Path], PageResult], out: Path, say: Callable[[str], object]
) -> list[Path]:
    """Read the bundled page with ``read`` (page XML -> result), ``say`` what came out, and write
    PAGE and the HTML view into ``out``; returns the files written.

    Raises `AssetError` if the sample is not what its lock says, `OutputError` if ``out`` cannot be
    written, and whatever ``read`` raises.
    """
    sample = resolve("sample", "letter")
    truth = {record.id: record.text for record in read_tsv(sample / "truth.tsv")}
    result = read(sample / "page.xml")
    for line in result.page.lines:
        if (reading := result.readings.get(line.id)) is not None:
            say(explain(line.id, reading, truth.get(line.id)))
            say("")
    say(_summary(result.readings, truth))
    written = write_result(result, out, ["page"])
    view = out / f"{result.page.stem}.html"
    title = "The bundled letter"
    atomic_write(view, render_html(result.page, result.readings, None, HtmlOptions(title, truth)))
    say(f"wrote {', '.join(str(path) for path in (*written, view))}")
    return [*written, view]


def _summary(readings: Mapping[str, Reading], truth: Mapping[str, str]) -> str:
    """The character error rate of every engine's own row and of what was chosen."""
    texts: dict[str, dict[str, str]] = {"chosen": {}}
    for line_id, reading in readings.items():
        texts["chosen"][line_id] = reading.text
        for source, row in (reading.network.rows if reading.network else {}).items():
            if "#" not in source:
                texts.setdefault(source, {})[line_id] = "".join(row)
    norm = profile(_PROFILE)
    rates = []
    for name in sorted(texts, key=lambda n: (n == "chosen", n)):
        pairs = [(truth[i], text) for i, text in texts[name].items() if i in truth]
        rates.append(f"{name} {Counts.sum(char_counts(*p, norm) for p in pairs).rate:.1%}")
    return (
        f"character error rate: {', '.join(rates)}\n"
        f"(profile {_PROFILE}; a page drawn with fonts: no measure of a real hand)"
    )
