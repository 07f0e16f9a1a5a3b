"""Views of readings for people: one HTML file per page."""

from __future__ import annotations

from ensemble_htr.report.html import HtmlOptions, render_html
from ensemble_htr.report.lines import PROBABILITY

__all__ = ["PROBABILITY", "HtmlOptions", "render_html"]
