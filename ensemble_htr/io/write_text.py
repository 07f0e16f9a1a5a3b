"""Writing plain text: what was read, one line of text a line, in the order of the page."""

from __future__ import annotations

from ensemble_htr.io.results import PLAIN, PageResult, WriteOptions, one_line

__all__ = ["render"]


def render(result: PageResult, options: WriteOptions = PLAIN) -> bytes:
    """UTF-8 text with as many lines as the page has; one that was not read is empty.

    These are our readings throughout, so ``options`` change nothing.
    """
    texts = (
        one_line(result.readings[line.id].text) if line.id in result.readings else ""
        for line in result.page.lines
    )
    return "".join(text + "\n" for text in texts).encode("utf-8", "replace")
