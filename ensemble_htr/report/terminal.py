"""One line as plain text: every engine under the chosen reading, column by column."""

from __future__ import annotations

import unicodedata

from ensemble_htr.report.lines import chosen_path
from ensemble_htr.types import EPSILON, Reading

__all__ = ["explain"]

_VOID, _MARK = "·", "^"


def explain(name: str, reading: Reading, truth: str | None = None) -> str:
    """Several lines of text: the chosen reading with its confidence, what each engine read (``·``
    where it wrote nothing), marks under the columns where they disagreed, and the truth if known.

    Control characters never reach the terminal.
    """
    network = reading.network
    rows = {k: v for k, v in network.rows.items() if "#" not in k} if network else {}
    chosen = chosen_path(reading) if rows else list(reading.tokens)
    split = [any(row[i] != token for row in rows.values()) for i, token in enumerate(chosen)]
    width = max(map(len, (*rows, "chosen", "written")))
    sure = f"{reading.confidence:.0%} sure of the whole line"
    lines = [f"{name}  ({sure})", f"  {'chosen':{width}}  {_cells(chosen)}"]
    if any(split):
        lines += [f"  {_plain(source):{width}}  {_cells(row)}" for source, row in rows.items()]
        marks = "".join(_MARK if differ else " " for differ in split).rstrip()
        lines.append(f"  {'':{width}}  {marks}")
    elif rows:
        lines[-1] += f"   (all {len(rows)} agree)"
    if reading.without_lm is not None and reading.without_lm != reading.text:
        lines.append(f"  {'no LM':{width}}  {_plain(reading.without_lm)}")
    if truth is not None and truth != reading.text:
        lines.append(f"  {'written':{width}}  {_plain(truth)}")
    return "\n".join(lines)


def _cells(row: list[str] | tuple[str, ...]) -> str:
    return "".join(_plain(token) if token != EPSILON else _VOID for token in row).rstrip()


def _plain(text: str) -> str:
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cf") else c for c in text)
