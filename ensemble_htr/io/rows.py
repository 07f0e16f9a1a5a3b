"""One text line as a JSON row: the record, how it is read, checked and written.

A row is one of::

    {"id", "page"?, "doc"?, "text", "confidences"?, "nbest"?: [{"text", "score"}]}
    {"id", "page", "doc", "text", "confidence", "words": [...], "chars": [...]}   # our own

where ``words`` and ``chars`` are lists of ``{"text", "confidence"}``. Further keys are ignored; a
``null`` counts as a key that is not there (as text: nothing was read).

Confidences are numbers in [0, 1]; a rounding error beyond (1e-6) is clamped, anything else (NaN,
percentages, log-probabilities) is an error, since a guess would be wrong in silence.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from ensemble_htr.errors import InputError
from ensemble_htr.text import graphemes

__all__ = ["Record", "confidence_of", "parse_row", "per_grapheme", "row_of", "short"]

_ROUNDING = 1e-6
_LARGEST = 1e300  # of a score


@dataclass(frozen=True, slots=True)
class Record:
    """One engine's (or a human's) text of one line; ``text`` is NFC, otherwise as it was given.

    ``(page, id)`` is its key; ``page`` is empty where the source does not say. ``confidences`` has
    one value per grapheme cluster of ``text``. ``nbest`` is best first, scores on the engine's own
    scale.
    """

    id: str
    text: str
    page: str = ""
    doc: str = ""
    confidences: tuple[float, ...] | None = None
    nbest: tuple[tuple[str, float], ...] = ()
    confidence: float | None = None  # of the whole line
    words: tuple[tuple[str, float], ...] = ()
    silent: bool = False  # the line is there, but nobody has read it
    numbered: bool = False  # ``id`` is but its number among the lines of its page

    def __post_init__(self) -> None:
        if not unicodedata.is_normalized("NFC", self.text):
            raise ValueError(f"the text of record {self.id!r} is not NFC")
        given = self.confidences
        if given is not None and len(given) != (wanted := len(graphemes(self.text))):
            raise ValueError(f"{len(given)} confidences for {wanted} characters")
        whole = () if self.confidence is None else (self.confidence,)
        if any(not 0.0 <= c <= 1.0 for c in (*(given or ()), *whole, *(c for _, c in self.words))):
            raise ValueError("confidences must lie in [0, 1]")


def row_of(record: Record) -> dict[str, Any]:
    """The record as a JSON row of our own output; keys that have nothing to say are left out."""
    row: dict[str, Any] = {
        "id": record.id,
        "page": record.page,
        "doc": record.doc,
        "text": record.text,
    }
    if record.confidence is not None:
        row["confidence"] = record.confidence
    if record.words:
        row["words"] = [{"text": t, "confidence": c} for t, c in record.words]
    if record.confidences is not None:
        pairs = zip(graphemes(record.text), record.confidences, strict=True)
        row["chars"] = [{"text": t, "confidence": c} for t, c in pairs]
    if record.nbest:
        row["nbest"] = [{"text": t, "score": s} for t, s in record.nbest]
    return row


def parse_row(line: str, where: str, page: str = "", doc: str = "") -> Record:
    """Read one JSON row; ``page`` and ``doc`` stand in where it names none.

    Raises `InputError` beginning with ``where`` for anything that is not as the module says.
    """
    try:
        row = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{where}: not a JSON row ({reason}): {short(line)}") from None
    if not isinstance(row, dict):
        raise InputError(f"{where}: wanted a JSON object, found {short(line)}")
    name = row.get("id")
    if isinstance(name, int) and not isinstance(name, bool):
        row["id"] = str(name)
    given = "" if row.get("text", "") is None else _string(row, "text", where)
    text = unicodedata.normalize("NFC", given)
    page = _string(row, "page", where, page)
    whole = row.get("confidence")
    doc = _string(row, "doc", where, "") or doc or ("__" in page and page.split("__")[0]) or ""
    return Record(
        id=_string(row, "id", where),
        text=text,
        page=page,
        doc=doc,
        confidences=_confidences(row, given, text, where),
        nbest=_nbest(row, where),
        confidence=None if whole is None else confidence_of(whole, where),
        words=tuple(_pieces(row, "words", where)),
    )


def _confidences(
    row: Mapping[str, Any], given: str, text: str, where: str
) -> tuple[float, ...] | None:
    """One confidence per grapheme of ``text``, from the row's ``confidences`` or ``chars``.

    A list may count graphemes, or code points of the text as given, in NFC or in NFD: a grapheme
    is as sure as the least sure of its code points.
    """
    nfc, nfd = (unicodedata.normalize(form, given) for form in ("NFC", "NFD"))
    if row.get("confidences") is not None:
        values = [
            v if type(v) is float and 0.0 <= v <= 1.0 else confidence_of(v, where)
            for v in _list(row, "confidences", where)
        ]
        cuts = [list(graphemes(nfc)), list(given), list(nfc), list(nfd)]
        pieces = next((cut for cut in cuts if len(cut) == len(values)), None)
        if pieces is None:
            raise InputError(
                f"{where}: {len(values)} confidences for {len(cuts[0])} characters; wanted one for "
                "each character of the text"
            )
    elif row.get("chars") is not None:
        chars = _pieces(row, "chars", where)
        pieces, values = [t for t, _ in chars], [c for _, c in chars]
        if unicodedata.normalize("NFC", "".join(pieces)) != text:
            raise InputError(f"{where}: the 'chars' do not spell the 'text' {short(text)}")
    else:
        return None
    return per_grapheme(pieces, values, text)


def per_grapheme(pieces: Sequence[str], values: Sequence[float], text: str) -> tuple[float, ...]:
    """Spread values of ``pieces`` over the graphemes of ``text``, both laid out in NFD: a grapheme
    is as sure as the least sure of its pieces."""
    tokens = graphemes(text)
    if tuple(pieces) == tokens:
        return tuple(values)
    units = [
        value
        for piece, value in zip(pieces, values, strict=True)
        for _ in unicodedata.normalize("NFD", piece)
    ]
    spread, start = [], 0
    for token in tokens:
        stop = start + len(unicodedata.normalize("NFD", token))
        spread.append(min(units[start:stop]))
        start = stop
    return tuple(spread)


def _nbest(row: Mapping[str, Any], where: str) -> tuple[tuple[str, float], ...]:
    """The n-best list, best first whatever its order in the file."""
    readings = []
    for item in _list(row, "nbest", where):
        score: Any = item.get("score") if isinstance(item, dict) else None
        if not _is_number(score) or not abs(score) < _LARGEST:
            raise InputError(f'{where}: wanted {{"text", "score"}} in nbest, found {short(item)}')
        text = _string(item, "text", f"{where}: nbest")
        readings.append((unicodedata.normalize("NFC", text), float(score)))
    return tuple(sorted(readings, key=lambda reading: -reading[1]))


def _pieces(row: Mapping[str, Any], key: str, where: str) -> list[tuple[str, float]]:
    pieces = []
    for item in _list(row, key, where):
        if not isinstance(item, dict) or "confidence" not in item:
            raise InputError(
                f'{where}: wanted {{"text", "confidence"}} in {key}, found {short(item)}'
            )
        text = _string(item, "text", f"{where}: {key}")
        pieces.append((text, confidence_of(item["confidence"], where)))
    return pieces


def _list(row: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = row.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f"{where}: wanted a list as '{key}', found {short(value)}")
    return value


def _string(row: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    value = row.get(key, default)
    if value is None and key in row and default is not None:
        value = default
    if not isinstance(value, str) or (key == "id" and not value):
        found = "nothing" if value is None else short(value)
        raise InputError(f"{where}: wanted a text as '{key}', found {found}")
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise InputError(f"{where}: '{key}' holds half of a surrogate pair; escape it whole")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def confidence_of(value: Any, where: str) -> float:
    """A confidence in [0, 1]; raises `InputError` beginning with ``where`` for anything else."""
    if _is_number(value) and -_ROUNDING <= value <= 1.0 + _ROUNDING:
        return min(1.0, max(0.0, float(value)))
    raise InputError(
        f"{where}: confidence {short(value)} is not a number in [0, 1]; divide percentages by "
        "100, take the exponential of log-probabilities"
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def short(value: Any) -> str:
    """A value as it may stand in a message: quoted, at most 40 characters of it."""
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= 40 else text[:39] + "…")
