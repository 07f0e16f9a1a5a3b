"""Readings kept beside the tables that were made of them: small, so that figures can be rebuilt
without images, models or hours."""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping, Sequence
from pathlib import Path

from ensemble_htr.errors import InputError
from ensemble_htr.files import atomic_write
from ensemble_htr.io.records import Record, match_records

FOLDER = Path(__file__).parent / "readings"
_DIGITS = 4  # of a confidence
_MOST = 1 << 30  # characters of a file, unpacked


def store(path: Path, truth: Sequence[Record], rows: Mapping[str, Sequence[Record]]) -> None:
    """Write ground truth and every system's readings of one split as ``.jsonl.xz``."""
    found = {name: match_records(truth, records, name).found for name, records in rows.items()}
    lines = []
    for number, line in enumerate(truth):
        readings = {name: _short(records[number]) for name, records in found.items()}
        row = {"id": line.id, "page": line.page, "doc": line.doc, "text": line.text}
        lines.append(json.dumps({**row, "readings": readings}, ensure_ascii=False))
    atomic_write(path, lzma.compress("\n".join(lines).encode(), preset=9))


def load(path: Path) -> tuple[list[Record], dict[str, list[Record]]]:
    """What `store` wrote. Raises `InputError` for a file that is not such a one."""
    truth: list[Record] = []
    rows: dict[str, list[Record]] = {}
    try:
        with lzma.open(path, "rt", encoding="utf-8") as stream:
            text = stream.read(_MOST)
        for line in text.splitlines():
            row = json.loads(line)
            truth.append(Record(row["id"], row["text"], row["page"], row["doc"]))
            for name, reading in row["readings"].items():
                if reading is not None:
                    rows.setdefault(name, []).append(
                        Record(
                            row["id"], reading["text"], row["page"], row["doc"],
                            None if (c := reading.get("confidences")) is None else tuple(c),
                            tuple((t, s) for t, s in reading.get("nbest", ())),
                            confidence=reading.get("confidence"),
                            words=tuple((w, c) for w, c in reading.get("words", ())),
                        )
                    )  # fmt: skip
    except (OSError, EOFError, lzma.LZMAError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not stored readings ({error})") from None
    return truth, rows


def _short(record: Record | None) -> dict[str, object] | None:
    if record is None:
        return None
    row: dict[str, object] = {"text": record.text}
    if record.confidences is not None:
        row["confidences"] = [round(c, _DIGITS) for c in record.confidences]
    if record.words:
        row["words"] = [(word, round(c, _DIGITS)) for word, c in record.words]
    if record.nbest:
        row["nbest"] = [(text, round(score, _DIGITS)) for text, score in record.nbest]
    if record.confidence is not None:
        row["confidence"] = round(record.confidence, _DIGITS)
    return row
