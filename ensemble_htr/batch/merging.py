"""The readings of several engines brought together line by line, on disk.

Engines may have read any number of lines: the rows go, one by one, into a temporary SQLite file
that finds those which are of one line, so memory does not grow with them.
"""

from __future__ import annotations

import itertools
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ensemble_htr.batch.engines import Engine, MergedLine
from ensemble_htr.errors import InputError, OutputError, printable
from ensemble_htr.files import temporary_name
from ensemble_htr.io.records import twice_error
from ensemble_htr.text import graphemes, profile
from ensemble_htr.types import Hypothesis

__all__ = ["Merged", "merge"]

_LEAST = -20.0  # log-probability of a character that an engine gives confidence 0
_PLAIN = profile("plain")  # foreign text loses nothing but invisible characters
_TABLES = """
CREATE TABLE lines (position INTEGER PRIMARY KEY, page, id, doc);
CREATE INDEX line_ids ON lines (id, page);
CREATE INDEX line_pages ON lines (page);
CREATE TABLE rows (n INTEGER, engine INTEGER, page, id, doc, data, line INTEGER);
CREATE UNIQUE INDEX row_ids ON rows (engine, id, page);
CREATE INDEX row_lines ON rows (line, engine);
CREATE TABLE lonely (position INTEGER, page, id);
CREATE INDEX lonely_ids ON lonely (id);
CREATE TABLE apart (page PRIMARY KEY)
"""
# Of one engine (?1), where ?2 is the empty page: a line finds the row of its own page and id, or
# else the only row of its id if either of them is on no page in particular.
_EXACT = """UPDATE rows SET line = (
        SELECT position FROM lines WHERE lines.id = rows.id AND lines.page = rows.page
    ) WHERE engine = ?1 AND line IS NULL"""
_LONELY = """INSERT INTO lonely SELECT position, page, id FROM lines WHERE NOT EXISTS (
        SELECT 1 FROM rows WHERE engine = ?1 AND rows.id = lines.id AND rows.page = lines.page
    ) AND EXISTS (
        SELECT 1 FROM rows WHERE engine = ?1 AND rows.id = lines.id
            AND (rows.page = ?2 OR lines.page = ?2)
    )"""
_AMBIGUOUS = """SELECT id FROM lonely WHERE (
        SELECT COUNT(*) FROM lines WHERE lines.id = lonely.id
    ) > 1 OR (
        SELECT COUNT(*) FROM rows WHERE engine = ?1 AND rows.id = lonely.id
            AND (rows.page = ?2 OR lonely.page = ?2)
    ) > 1 ORDER BY position LIMIT 1"""
_LOOSE = """UPDATE rows SET line = (SELECT position FROM lonely WHERE lonely.id = rows.id)
    WHERE engine = ?1 AND line IS NULL AND EXISTS (
        SELECT 1 FROM lonely WHERE lonely.id = rows.id AND (lonely.page = ?2 OR rows.page = ?2))"""
_NAME = """UPDATE lines SET (page, doc) = (
        SELECT rows.page, CASE WHEN lines.doc = ?2 THEN rows.doc ELSE lines.doc END
        FROM rows WHERE engine = ?1 AND line = position
    ) WHERE page = ?2 AND EXISTS (
        SELECT 1 FROM rows WHERE engine = ?1 AND line = position AND rows.page != ?2)"""
_EXTRA = """INSERT INTO lines SELECT ?2 - 1 + ROW_NUMBER() OVER (ORDER BY n), page, id, doc
    FROM rows WHERE engine = ?1 AND line IS NULL"""
_JOINED = """SELECT position, lines.page, lines.id, lines.doc, engine, data
    FROM lines JOIN rows ON line = position WHERE {} ORDER BY position, engine"""
_REST = "lines.page NOT IN (SELECT page FROM apart)"


def merge(engines: Sequence[Engine], folder: Path | None = None) -> Merged:
    """Read all engines and find which rows are of one line. The temporary file lies in ``folder``
    (None: where the system keeps such files).

    Raises `InputError` for a file that cannot be used, an id that occurs twice in a page, or rows
    that may belong to several lines; `OutputError` where there is no room.
    """
    merged = Merged(engines, folder)
    try:
        for number, engine in enumerate(engines):
            merged.add(number, engine)
    except BaseException:
        merged.close()
        raise
    return merged


class Merged:
    """All lines that any engine has, in the order of the first engine that has it; iterate over
    it as often as you like, and close it (or use it as a context manager).

    Two rows are one line by the rules of `match_records`: the same page and id, an empty page
    standing for any.
    """

    def __init__(self, engines: Sequence[Engine], folder: Path | None) -> None:
        self._names = [engine.name for engine in engines]
        self._path = None if folder is None else folder / temporary_name()
        self._base = sqlite3.connect(self._path or "", isolation_level=None)
        for statement in ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "BEGIN",
                          *_TABLES.split(";")):  # fmt: skip
            self._base.execute(statement)
        self._size = 0
        self._rows: list[int] = []

    @property
    def missing(self) -> dict[str, int]:
        """For each engine how many of the lines it lacks."""
        return {n: self._size - k for n, k in zip(self._names, self._rows, strict=True)}

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[MergedLine]:
        return self._lines("1")

    def of_page(self, stem: str, *, unnamed: bool = False) -> tuple[MergedLine, ...]:
        """The lines of a page; with ``unnamed`` also those that are on no page in particular."""
        other = _raw("") if unnamed else _raw(stem)
        return tuple(self._lines("lines.page IN (?, ?)", _raw(stem), other))

    def keep_apart(self, stems: Iterable[str]) -> int:
        """Let `rest` leave out the lines of these pages; returns how many lines it has then."""
        self._base.execute("DELETE FROM apart")
        for stem in stems:
            self._base.execute("REPLACE INTO apart VALUES (?)", (_raw(stem),))
        return int(self._base.execute(f"SELECT COUNT(*) FROM lines WHERE {_REST}").fetchone()[0])

    def rest(self) -> Iterator[MergedLine]:
        """The lines on other pages than those that `keep_apart` names."""
        return self._lines(_REST)

    def rest_keys(self) -> Iterator[tuple[str, str]]:
        """Page and id of the lines of `rest`."""
        rows = self._base.execute(f"SELECT page, id FROM lines WHERE {_REST} ORDER BY position")
        return ((_text(page), _text(name)) for page, name in rows)

    def sample(self, most: int = 300) -> list[str]:
        """Texts taken evenly from all lines, to see what language they are in; a function of the
        set of engines."""
        step = max(1, self._size // most)
        return [
            row.text
            for line in self._lines("position % ? = 0", step)
            for row in sorted(line.rows, key=lambda r: r.source)
            if row.tokens
        ]

    def close(self) -> None:
        self._base.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> Merged:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lines(self, condition: str, *values: object) -> Iterator[MergedLine]:
        found = self._base.execute(_JOINED.format(condition), values)
        for (_, page, name, doc), group in itertools.groupby(found, key=lambda row: row[:4]):
            rows: list[Hypothesis] = []
            alternatives: list[Hypothesis] = []
            for *_, engine, data in group:
                row, more = _hypotheses(self._names[engine], data)
                rows.append(row)
                alternatives += more
            yield MergedLine(_text(name), _text(page), _text(doc), tuple(rows), tuple(alternatives))

    def add(self, number: int, engine: Engine) -> None:
        """Take the rows of the next engine in; lines that nobody had before come last."""
        try:
            self._rows.append(self._insert(number, engine))
            self._match(number, engine)
        except sqlite3.OperationalError as error:
            raise OutputError(
                f"{self._path or 'the temporary folder'}: the engines' rows cannot be sorted "
                f"there: {error}; make room there"
            ) from None

    def _insert(self, number: int, engine: Engine) -> int:
        query, count = "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, NULL)", 0
        for count, record in enumerate(engine.records, 1):  # noqa: B007
            data = json.dumps([record.text, record.confidences, record.nbest])
            key = _raw(record.page), _raw(record.id), _raw(record.doc)
            try:
                self._base.execute(query, (count, number, *key, data))
            except sqlite3.IntegrityError:
                raise twice_error(engine.path, record.page, record.id) from None
        return count

    def _match(self, number: int, engine: Engine) -> None:
        one, two = (number,), (number, _raw(""))
        self._base.execute(_EXACT, one)
        self._base.execute("DELETE FROM lonely")
        self._base.execute(_LONELY, two)
        if (found := self._base.execute(_AMBIGUOUS, two).fetchone()) is not None:
            raise InputError(
                f"{engine.name}: line id '{printable(_text(found[0]), 80)}' occurs on several "
                "pages, and rows without a 'page' do not say which is meant; add \"page\" to them"
            )
        self._base.execute(_LOOSE, two)
        self._base.execute(_NAME, two)
        self._size += self._base.execute(_EXTRA, (number, self._size)).rowcount
        self._base.execute(_EXACT, one)


def _hypotheses(engine: str, data: str) -> tuple[Hypothesis, list[Hypothesis]]:
    """The engine's reading and its n-best list, best first."""
    text, confidences, nbest = json.loads(data)
    tokens = _PLAIN.tokens(text)
    scores = {_PLAIN.tokens(t): score for t, score in reversed(nbest)}
    logprobs = None if confidences is None else _logprobs(text, confidences, tokens)
    more = [Hypothesis(engine, t, score=score) for t, score in reversed(scores.items())]
    return Hypothesis(engine, tokens, logprobs, score=scores.get(tokens)), more


def _logprobs(
    text: str, confidences: Sequence[float], tokens: Sequence[str]
) -> tuple[float, ...] | None:
    """The confidences as natural logarithms, one for each token that the profile leaves; None
    where the profile rearranged the text."""
    kept: list[tuple[str, float]] = []
    for token, sure in zip(graphemes(text), confidences, strict=True):
        token = " " if token.isspace() else _PLAIN.apply(token)
        if token == " " and kept and kept[-1][0] == " ":
            kept[-1] = " ", min(sure, kept[-1][1])
        elif token and (token != " " or kept):
            kept.append((token, sure))
    if kept and kept[-1][0] == " ":
        kept.pop()
    if tuple(token for token, _ in kept) != tuple(tokens):
        return None
    return tuple(math.log(sure) if sure > math.exp(_LEAST) else _LEAST for _, sure in kept)


def _raw(text: str) -> bytes:
    """As SQLite may hold any of it: names of files need not be UTF-8."""
    return text.encode("utf-8", "surrogatepass")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")
