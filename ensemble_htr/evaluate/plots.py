"""Line charts as inline SVG, coloured and scaled by the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["Series", "chart", "nice"]

Series = tuple[int, str, Sequence[tuple[float, float]]]  # colour, name, points

_WIDTH, _HEIGHT = 420, 286  # of the drawing, in its own units
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 26, 38
_ENDS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)


def chart(
    series: Sequence[Series],
    most: tuple[float, float],
    titles: tuple[str, str],
    label: str,
    *,
    diagonal: bool = False,
    dots: bool = False,
) -> str:
    """The chart of several curves over [0, most x] by [0, most y], fractions written in per cent;
    ``label`` says in words what it shows."""
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(value: float) -> float:
        return round(_LEFT + width * min(1.0, value / most[0]), 1)

    def y(value: float) -> float:
        return round(_TOP + height * (1 - min(1.0, value / most[1])), 1)

    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    parts = [f'<svg class="chart" {box} role="img" aria-label="{escape(label)}">']
    for step in range(6):
        across, up = most[0] * step / 5, most[1] * step / 5
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(up)}" y2="{y(up)}"/>'
            f'<text x="{_LEFT - 6}" y="{y(up) + 4}" text-anchor="end">{_percent(up)}</text>'
            f'<text x="{x(across)}" y="{_HEIGHT - 22}" text-anchor="middle">'
            f"{_percent(across)}</text>"
        )
    parts.append(
        f'<text x="{_LEFT + width / 2}" y="{_HEIGHT - 5}" text-anchor="middle">{titles[0]}</text>'
        f'<text x="0" y="11">{titles[1]}</text>'
    )
    if diagonal:
        parts.append(
            f'<line class="diagonal" x1="{x(0)}" y1="{y(0)}" x2="{x(most[0])}" y2="{y(most[1])}"/>'
        )
    for colour, name, points in series:
        path = " ".join(f"{x(a)},{y(b)}" for a, b in points)
        parts.append(
            f'<g class="c{colour % 8}"><title>{escape(name)}</title>'
            f'<polyline class="curve" points="{path}"/>'
        )
        if dots:
            parts += [f'<circle cx="{x(a)}" cy="{y(b)}" r="3"/>' for a, b in points]
        parts.append("</g>")
    return "".join([*parts, "</svg>"])


def nice(value: float) -> float:
    """Where an axis may end that is to show ``value``: a round number of per cent."""
    return next((step for step in _ENDS if value <= step), max(1.0, value))


def _percent(value: float) -> str:
    return f"{100 * value:.4g}"
