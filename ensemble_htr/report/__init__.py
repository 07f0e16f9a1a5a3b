"""Views of readings for people: one HTML file per page, plain text per line."""

from __future__ import annotations

from ensemble_htr.report.html import HtmlOptions, render_html
from ensemble_htr.report.lines import PROBABILITY
from ensemble_htr.report.terminal import explain

__all__ = ["PROBABILITY", "HtmlOptions", "explain", "render_html"]
