"""Writing JSONL: one row a line of the page, with a confidence for every word and character."""

from __future__ import annotations

import json
from typing import Any

from ensemble_htr.io.results import PLAIN, PageResult, WriteOptions, reading_words
from ensemble_htr.types import Page, Reading

__all__ = ["render", "row"]


def render(result: PageResult, options: WriteOptions = PLAIN) -> bytes:
    """UTF-8 JSON Lines; a line that was not read has an empty text and confidence 0.

    These are our readings throughout, so ``options`` change nothing.
    """
    page = result.page
    rows = (row(page, line.id, result.readings.get(line.id)) for line in page.lines)
    text = "".join(json.dumps(r, ensure_ascii=False, allow_nan=False) + "\n" for r in rows)
    return text.encode("utf-8", "replace")


def row(page: Page, line_id: str, reading: Reading | None) -> dict[str, Any]:
    """One line as JSON: ``id``, ``page``, ``doc``, ``text``, ``confidence``, ``words``, ``chars``,
    where lexicons were asked ``names``, and ``quarantined`` (text by engine) if engines were
    left out that read another line.

    Confidences are probabilities rounded to six places.
    """
    head = {"id": line_id, "page": page.stem, "doc": page.doc}
    if reading is None:
        return head | {"text": "", "confidence": 0.0, "words": [], "chars": []}
    left = reading.network.quarantined if reading.network is not None else {}
    return head | {
        "text": reading.text,
        "confidence": round(reading.confidence, 6),
        "words": [
            {"text": word.text, "confidence": round(word.confidence, 6)}
            for word in reading_words(reading)
        ],
        "chars": [
            {"text": token, "confidence": round(confidence, 6)}
            for token, confidence in zip(reading.tokens, reading.confidences, strict=True)
        ],
        **({"names": list(reading.names)} if reading.names else {}),
        **({"quarantined": dict(left)} if left else {}),
    }
