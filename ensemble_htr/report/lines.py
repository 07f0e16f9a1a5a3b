"""One line as HTML: its text with the doubtful places, and why it was read so.

Everything that comes from outside (texts, ids, names of engines) passes `escape`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ensemble_htr.metrics import alignment_pairs
from ensemble_htr.text import graphemes
from ensemble_htr.types import EPSILON, ConfusionNetwork, Reading, Slot

__all__ = [
    "PROBABILITY",
    "Shading",
    "alternatives",
    "chosen_path",
    "columns",
    "marked",
    "percent",
    "truth_line",
]

PROBABILITY = "posterior"  # evidence key of an arc's probability in [0, 1], where the judge gave it
_WIDTH = 64  # columns in one table; longer lines are broken at a space
_CONTEXT = 7  # tokens shown on either side of a doubtful place
_MOST = 12  # doubtful places listed per line


@dataclass(frozen=True, slots=True)
class Shading:
    """Which confidences are shaded: at or below ``limit`` faintly, below two thirds and one third
    of it more strongly. `Shading.of` puts the limit so that only the worst few per cent show."""

    limit: float

    @classmethod
    def of(cls, confidences: Sequence[float], share: float = 0.05, never: float = 0.9) -> Shading:
        """At most ``share`` of the page's characters (ties aside), none as sure as ``never``."""
        ranked = sorted(confidences)
        count = int(len(ranked) * share)
        return cls(min(ranked[count - 1], never) if count else min(0.5, never))

    def grade(self, confidence: float) -> int:
        """0 (not shaded) to 3 (least sure)."""
        if confidence > self.limit:
            return 0
        return 1 + (confidence <= 2 / 3 * self.limit) + (confidence <= self.limit / 3)


def percent(value: float) -> str:
    """A probability for people; never 100 % or 0 % unless it is exactly that."""
    if 0.995 <= value < 1:
        return "&gt; 99&#8239;%"
    if 0 < value < 0.005:
        return "&lt; 1&#8239;%"
    return f"{value * 100:.0f}&#8239;%"


def marked(reading: Reading, shading: Shading) -> str:
    """The text, its doubtful tokens in spans that tell the alternatives on hover."""
    if not reading.tokens:
        return '<span class="empty">nothing was read here</span>'
    parts = []
    for i, (token, sure) in enumerate(zip(reading.tokens, reading.confidences, strict=True)):
        grade = shading.grade(sure)
        if grade:
            tip = escape(_tip(reading, i), quote=True)
            parts.append(f'<span class="d{grade}" title="{tip}">{escape(token)}</span>')
        else:
            parts.append(escape(token))
    return "".join(parts)


def truth_line(reading: Reading, truth: str) -> str:
    """What stands there, its tokens that we missed marked ('' if we read it all)."""
    wanted = graphemes(truth)
    if wanted == reading.tokens:
        return ""
    parts = []
    for there, read in alignment_pairs(wanted, reading.tokens):
        if there == read:
            parts.append(escape(there))
        else:
            parts.append(f'<span class="miss">{escape(there or "‸")}</span>')
    return "".join(parts)


def columns(reading: Reading) -> str:
    """Every engine's reading under the chosen one, column by column; '' without a network."""
    network = reading.network
    if network is None or not network.slots:
        return ""
    chosen = chosen_path(reading)
    rows = {name: row for name, row in network.rows.items() if "#" not in name}
    tables = []
    for start, stop in _chunks(chosen):
        span = range(start, stop)
        split = [any(row[i] != chosen[i] for row in rows.values()) for i in span]
        body = [_row("chosen", chosen, chosen, span, split, "chosen")]
        body += [_row(name, row, chosen, span, split) for name, row in rows.items()]
        tables.append(f'<table class="columns">{"".join(body)}</table>')
    return "".join(f'<div class="scroll">{table}</div>' for table in tables)


def alternatives(reading: Reading) -> str:
    """The least sure places with what else could stand there; '' if nobody disagreed."""
    network = reading.network
    if network is None:
        return ""
    chosen = chosen_path(reading)
    sure = dict(zip(reading.slots, reading.confidences, strict=False))
    ranked = []
    for i, slot in enumerate(network.slots):
        others = [x for x in _ranked(slot, network.rows, i) if x[0] != chosen[i]]
        if others and max(p for _, p in others) >= 0.02:
            confidence = sure.get(i, _probability(slot, chosen[i], network.rows, i))
            ranked.append((confidence, i))
    if not ranked:
        return ""
    shown = sorted(i for _, i in sorted(ranked)[:_MOST])
    items = "".join(_place(network, chosen, i) for i in shown)
    more = len(ranked) - len(shown)
    note = f" (the least sure {len(shown)} of {len(ranked)})" if more else ""
    return f'<h2>What else could stand there{note}</h2><ul class="slots">{items}</ul>'


def chosen_path(reading: Reading) -> list[str]:
    """What the reading takes in every slot of its network (`EPSILON` where nothing)."""
    network = reading.network
    if network is None:
        return []
    path = [EPSILON] * len(network.slots)
    for token, slot in zip(reading.tokens, reading.slots, strict=False):
        if 0 <= slot < len(path):
            path[slot] += token
    return path


def _chunks(chosen: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Cut the columns into runs of at most ``_WIDTH``, after a space where there is one."""
    start = 0
    while len(chosen) - start > _WIDTH:
        stop = start + _WIDTH
        spaces = [i for i in range(start + _WIDTH // 2, stop) if chosen[i] == " "]
        stop = spaces[-1] + 1 if spaces else stop
        yield start, stop
        start = stop
    yield start, len(chosen)


def _row(
    name: str,
    row: Sequence[str],
    chosen: Sequence[str],
    span: range,
    split: Sequence[bool],
    kind: str = "",
) -> str:
    cells = []
    for i, differ in zip(span, split, strict=True):
        mark = "other" if row[i] != chosen[i] else "split" if differ else ""
        cells.append(
            f'<td class="{mark}">{_cell(row[i])}</td>' if mark else f"<td>{_cell(row[i])}</td>"
        )
    opening = f'<tr class="{kind}">' if kind else "<tr>"
    return f'{opening}<th scope="row">{escape(name)}</th>{"".join(cells)}</tr>'


def _cell(token: str) -> str:
    if token == EPSILON:
        return '<span class="void">·</span>'
    return '<span class="void">␣</span>' if token == " " else escape(token)


def _place(network: ConfusionNetwork, chosen: Sequence[str], i: int) -> str:
    before = escape("".join(chosen[max(0, i - _CONTEXT) : i]))
    after = escape("".join(chosen[i + 1 : i + 1 + _CONTEXT]))
    arcs = "".join(
        f'<span class="arc"><b>{_cell(token)}</b> {percent(p)}</span>'
        for token, p in _ranked(network.slots[i], network.rows, i)[:6]
        if p >= 0.005 or token == chosen[i]
    )
    where = f'<span class="where">{before}<b>{_cell(chosen[i])}</b>{after}</span>'
    return f"<li>{where}{arcs}</li>"


def _tip(reading: Reading, i: int) -> str:
    """Plain text of the hover box of token ``i``."""
    sure = f"{reading.confidences[i] * 100:.0f} % sure"
    network = reading.network
    if network is None or i >= len(reading.slots):
        return sure
    slot = reading.slots[i]
    ranked = _ranked(network.slots[slot], network.rows, slot)
    others = [
        f"{token if token.strip() else 'space' if token else 'nothing'} {p * 100:.0f} %"
        for token, p in ranked[:5]
        if token != reading.tokens[i] and p >= 0.005
    ]
    return f"{sure}; or {', '.join(others)}" if others else sure


def _ranked(slot: Slot, rows: Mapping[str, Sequence[str]], i: int) -> list[tuple[str, float]]:
    pairs = [(token, _probability(slot, token, rows, i)) for token in slot.tokens]
    return sorted(pairs, key=lambda pair: -pair[1])


def _probability(slot: Slot, token: str, rows: Mapping[str, Sequence[str]], i: int) -> float:
    """The judge's probability of an arc; where he gave none, its share of the engines."""
    arc = next((a for a in slot.arcs if a.token == token), None)
    if arc is None:
        return 0.0
    if PROBABILITY in arc.evidence:
        return min(1.0, max(0.0, arc.evidence[PROBABILITY]))
    engines = [row for name, row in rows.items() if "#" not in name]
    return sum(row[i] == token for row in engines) / len(engines) if engines else 0.0
