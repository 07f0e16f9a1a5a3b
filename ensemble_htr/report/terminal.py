"""One line as plain text: every engine under the chosen reading, column by column, and why."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from ensemble_htr.metrics import alignment_pairs
from ensemble_htr.report.lines import PROBABILITY, chosen_path
from ensemble_htr.types import EPSILON, Arc, ConfusionNetwork, Reading

__all__ = ["explain"]

_VOID, _MARK = "·", "^"
_CONTEXT = 12  # slots shown on either side of a place in dispute
_MOST = 6  # arcs shown of a place, besides the chosen one


def explain(
    name: str, reading: Reading, truth: str | None = None, *, evidence: bool = False
) -> str:
    """Several lines of text: the chosen reading with its confidence, what each engine read (``·``
    where it wrote nothing), marks under the columns where they disagreed, and the truth if known.

    With ``evidence`` also every place in dispute: each rival with its probability, the engines that
    propose it (with the confidence they give it), and what every other voice says of it (log-odds
    against its rivals, in nats); then what the language model changed. Control characters never
    reach the terminal.
    """
    network = reading.network
    rows = {k: v for k, v in network.rows.items() if "#" not in k} if network else {}
    chosen = chosen_path(reading) if rows else list(reading.tokens)
    split = [any(row[i] != token for row in rows.values()) for i, token in enumerate(chosen)]
    left = {} if network is None else network.quarantined
    width = max(map(len, (*rows, *left, "chosen", "written")))
    sure = f"{reading.confidence:.0%} sure of the whole line"
    lines = [f"{name}  ({sure})", f"  {'chosen':{width}}  {_cells(chosen)}"]
    if any(split):
        lines += [f"  {_plain(source):{width}}  {_cells(row)}" for source, row in rows.items()]
        marks = "".join(_MARK if differ else " " for differ in split).rstrip()
        lines.append(f"  {'':{width}}  {marks}")
    elif rows:
        lines[-1] += f"   (all {len(rows)} agree)"
    for source, text in left.items():
        lines.append(f"  {_plain(source):{width}}  {_plain(text)}   (left out: another line)")
    if reading.without_lm is not None and reading.without_lm != reading.text:
        lines.append(f"  {'no LM':{width}}  {_plain(reading.without_lm)}")
    if reading.without_lists is not None and reading.without_lists != reading.text:
        lines.append(f"  {'no list':{width}}  {_plain(reading.without_lists)}")
    if truth is not None and truth != reading.text:
        lines.append(f"  {'written':{width}}  {_plain(truth)}")
    if evidence and network is not None and rows:
        lines += _places(network, chosen)
        lines += _changed(reading)
    return "\n".join(lines)


def _places(network: ConfusionNetwork, chosen: Sequence[str]) -> Iterator[str]:
    """Every slot with more than one arc."""
    for i, slot in enumerate(network.slots):
        if len(slot.arcs) < 2:
            continue
        before = "".join(chosen[max(0, i - _CONTEXT) : i])
        after = "".join(chosen[i + 1 : i + 1 + _CONTEXT])
        yield f"  column {i + 1}: {_plain(before)}[{_cell(chosen[i])}]{_plain(after)}"
        arcs = sorted(slot.arcs, key=lambda arc: -arc.evidence.get(PROBABILITY, 0.0))
        shown = [arc for k, arc in enumerate(arcs) if k < _MOST or arc.token == chosen[i]]
        for arc in shown:
            mark = ">" if arc.token == chosen[i] else " "
            sure = _percent(arc.evidence.get(PROBABILITY))
            yield f"   {mark} {_cell(arc.token)} {sure:>4}  {_said(arc, network.rows, i)}"
        if len(arcs) > len(shown):
            yield f"     and {len(arcs) - len(shown)} more"


def _percent(p: float | None) -> str:
    if p is None:
        return ""
    return ">99%" if 0.995 <= p < 1 else "<1%" if 0 < p < 0.005 else f"{p:.0%}"


def _said(arc: Arc, rows: Mapping[str, Sequence[str]], i: int) -> str:
    """Who proposes an arc, and what the others say of it."""
    said = []
    for source in dict.fromkeys(name.partition("#")[0] for name in rows):
        if rows[source][i] == arc.token:
            vote = arc.evidence.get(f"vote:{source}")
            said.append(_plain(source) + ("" if vote in (None, 1.0) else f" {vote:.2f}"))
        elif (mass := arc.evidence.get(f"mass:{source}")) is not None:
            said.append(f"{_plain(source)}'s n-best {mass:.2f}")
    voices = [
        f"{_plain(voice.replace(':', ' '))} {value:+.1f}"
        for voice, value in arc.evidence.items()
        if voice != PROBABILITY and not voice.startswith(("vote:", "mass:"))
    ]
    return "; ".join(filter(None, (", ".join(said), ", ".join(voices))))


def _changed(reading: Reading) -> Iterator[str]:
    """What the language model changed, and then the lists of words and names, word by word."""
    if reading.without_lm is None:
        return
    lists = reading.text if reading.without_lists is None else reading.without_lists
    silent, spoken, listed = (t.split(" ") for t in (reading.without_lm, lists, reading.text))
    if silent == spoken:
        yield "  the language model changed nothing"
    for old, new in alignment_pairs(silent, spoken):
        if old != new:
            yield f"  the language model made '{_plain(new)}' of '{_plain(old)}'"
    for old, new in alignment_pairs(spoken, listed):
        if old != new:
            yield f"  a list of words or names made '{_plain(new)}' of '{_plain(old)}'"


def _cells(row: Sequence[str]) -> str:
    return "".join(_cell(token) for token in row).rstrip()


def _cell(token: str) -> str:
    return _plain(token) if token != EPSILON else _VOID


def _plain(text: str) -> str:
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cf") else c for c in text)
