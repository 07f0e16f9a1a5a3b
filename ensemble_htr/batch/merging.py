"""The readings of several engines brought together line by line, on disk.

Engines may have read any number of lines: the rows go, one by one, into a temporary SQLite file
that finds those which are of one line, so memory does not grow with them.
"""

from __future__ import annotations

import itertools
import json
import math
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ensemble_htr.batch.engines import Engine, MergedLine
from ensemble_htr.batch.linking import TABLES, Found, Linker, decoded, encoded
from ensemble_htr.errors import InputError, OutputError, printable
from ensemble_htr.files import temporary_name
from ensemble_htr.io.records import Record, twice_error
from ensemble_htr.io.sure import spread_record
from ensemble_htr.text import graphemes, profile
from ensemble_htr.types import Hypothesis

__all__ = ["Merged", "merge"]

_LEAST = -20.0  # log-probability of a character that an engine gives confidence 0
_LEAST_SHARE = math.exp(_LEAST)
_LONGEST = 5_000  # characters of a line: what is longer is a page
_MOST_NBEST = 100  # readings of one engine's n-best list
_WAYS = ("place", "order", "text")  # to a line without a common id
_PLAIN = profile("plain")  # foreign text loses nothing but invisible characters
_READ = "EXISTS (SELECT 1 FROM rows WHERE line = position AND data IS NOT NULL)"
_JOINED = """SELECT position, lines.page, lines.id, lines.doc, engine, text, data, sure
    FROM lines JOIN rows ON line = position WHERE data IS NOT NULL AND {}
    ORDER BY position, engine"""
_OF_PAGE = """SELECT position, own.page, own.id, lines.doc, rows.engine, rows.text, rows.data,
        rows.sure
    FROM rows AS own JOIN lines ON position = own.line JOIN rows ON rows.line = position
    WHERE own.engine = ? AND own.page = ? AND rows.data IS NOT NULL
    ORDER BY position, rows.engine"""
_REST = """NOT EXISTS (
        SELECT 1 FROM rows AS own JOIN apart ON apart.page = own.page AND apart.engine = own.engine
        WHERE own.line = position
    ) AND NOT EXISTS (SELECT 1 FROM apart WHERE apart.page = lines.page AND apart.engine < 0)"""


def merge(engines: Sequence[Engine], folder: Path | None = None) -> Merged:
    """Read all engines and find which rows are of one line. The temporary file lies in ``folder``
    (None: where the system keeps such files).

    Raises `InputError` for a file that cannot be used, an id that occurs twice in a page, or rows
    that may belong to several lines; `OutputError` where there is no room.
    """
    merged = Merged(engines, folder)
    try:
        for number, engine in sorted(enumerate(engines), key=lambda pair: pair[1].plain):
            merged.add(number, engine)  # those whose lines are but numbered come last
    except BaseException:
        merged.close()
        raise
    return merged


class Merged:
    """All lines that any engine has, in the order of the first engine that has it; iterate over
    it as often as you like, and close it (or use it as a context manager).

    Which rows are one line `ensemble_htr.batch.linking` decides: those of one page and id, else of
    one place, else of like texts.
    """

    def __init__(self, engines: Sequence[Engine], folder: Path | None) -> None:
        self._names = [engine.name for engine in engines]
        self._path = None if folder is None else folder / temporary_name()
        self._base = sqlite3.connect(self._path or "", isolation_level=None)
        for statement in ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "BEGIN",
                          *TABLES.split(";")):  # fmt: skip
            self._base.execute(statement)
        self._linker = Linker(self._base, engines)
        self._rows = [0] * len(engines)
        self._found = [Found() for _ in engines]
        self._shortened = [0] * len(engines)

    @property
    def missing(self) -> dict[str, int]:
        """For each engine how many of the lines it lacks."""
        return {n: len(self) - k for n, k in zip(self._names, self._rows, strict=True)}

    def __len__(self) -> int:
        query = f"SELECT COUNT(*) FROM lines WHERE {_READ}"
        return int(self._base.execute(query).fetchone()[0])

    def summary(self) -> dict[str, Any]:
        """How every engine's rows found their lines, for ``matching.json``."""
        engines: list[dict[str, Any]] = []
        for name, rows, found in zip(self._names, self._rows, self._found, strict=True):
            by_id = rows - found.extra - found.ways.total() if engines else 0
            engines.append({
                "name": name,
                "lines": rows,
                "missing": len(self) - rows,
                "matched": {"id": by_id, **{way: found.ways[way] for way in _WAYS}},
                "unmatched": found.extra,
                "examples": list(found.examples),
            })  # fmt: skip
        return {"schema": 1, "lines": len(self), "engines": engines}

    def report(self) -> list[str]:
        """What is worth saying of how lines were matched, a line each."""
        said = []
        for name, found, cut in zip(self._names, self._found, self._shortened, strict=True):
            ways = [f"{found.ways[w]} by their {w}" for w in _WAYS if found.ways[w]]
            if ways:
                said.append(f"engine {name}: lines matched without a common id: {', '.join(ways)}")
            if found.extra:
                those = ", ".join(printable(example, 60) for example in found.examples)
                said.append(
                    f"engine {name}: {found.extra} lines match no line of the engines before it "
                    f"({those}{', ...' if found.extra > len(found.examples) else ''})"
                )
            if cut:
                said.append(
                    f"engine {name}: of {cut} n-best lists the best {_MOST_NBEST} were kept"
                )
        return said

    def __iter__(self) -> Iterator[MergedLine]:
        return self._lines("1")

    def of_page(self, stem: str, engine: int) -> tuple[MergedLine, ...]:
        """The lines of a page under the ids that this engine (by its number) has for them."""
        return tuple(self._grouped(self._base.execute(_OF_PAGE, (engine, encoded(stem)))))

    def keep_apart(self, stems: Mapping[str, int]) -> int:
        """Let `rest` leave out the lines that stand on the page of this stem as this engine has it
        (by its number; -1: all lines of the page); returns how many lines it has then."""
        self._base.execute("DELETE FROM apart")
        pages = ((encoded(stem), engine) for stem, engine in stems.items())
        self._base.executemany("REPLACE INTO apart VALUES (?, ?)", pages)
        query = f"SELECT COUNT(*) FROM lines WHERE {_READ} AND {_REST}"
        return int(self._base.execute(query).fetchone()[0])

    def rest(self) -> Iterator[MergedLine]:
        """The lines that `keep_apart` does not name."""
        return self._lines(_REST)

    def rest_keys(self) -> Iterator[tuple[str, str]]:
        """Page and id of the lines of `rest`."""
        query = f"SELECT page, id FROM lines WHERE {_READ} AND {_REST} ORDER BY position"
        return ((decoded(page), decoded(name)) for page, name in self._base.execute(query))

    def sample(self, most: int = 300) -> list[str]:
        """Texts taken evenly from all lines, to see what language they are in; a function of the
        set of engines."""
        step = max(1, self._linker.size // most)
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
        return self._grouped(self._base.execute(_JOINED.format(condition), values))

    def _grouped(self, found: Iterable[tuple[Any, ...]]) -> Iterator[MergedLine]:
        for (_, page, name, doc), group in itertools.groupby(found, key=lambda row: row[:4]):
            rows: list[Hypothesis] = []
            alternatives: list[Hypothesis] = []
            for *_, engine, text, data, sure in group:
                row, more = _hypotheses(self._names[engine], text, data, sure)
                rows.append(row)
                alternatives += more
            key = decoded(name), decoded(page), decoded(doc)
            yield MergedLine(*key, tuple(rows), tuple(alternatives))

    def add(self, number: int, engine: Engine) -> None:
        """Take the rows of the next engine in; lines that nobody had before come last."""
        try:
            self._insert(number, engine)
            self._found[number] = self._linker.link(number)
        except sqlite3.OperationalError as error:
            raise OutputError(
                f"{self._path or 'the temporary folder'}: the engines' rows cannot be sorted "
                f"there: {error}; make room there"
            ) from None

    def _insert(self, number: int, engine: Engine) -> None:
        query = "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"
        for count, record in enumerate(engine.records, 1):
            key = encoded(record.page), encoded(record.id), encoded(record.doc)
            said = (None, None) if record.silent else self._said(number, engine, record)
            values = (count, number, *key, record.text, *said, record.numbered)
            try:
                self._base.execute(query, values)
            except sqlite3.IntegrityError:
                raise twice_error(engine.path, record.page, record.id) from None
            self._rows[number] += not record.silent

    def _said(self, number: int, engine: Engine, record: Record) -> tuple[str, bytes | None]:
        """What is kept of a record beside its text: its n-best list and its confidences."""
        longest = max((len(text) for text, _ in record.nbest), default=0)
        if max(longest, len(record.text)) > _LONGEST:
            raise InputError(
                f"{engine.path}: the text of line '{printable(record.id, 80)}' has more than "
                f"{_LONGEST} characters; give every line of the page a row of its own"
            )
        nbest = record.nbest
        if len(nbest) > _MOST_NBEST:
            nbest = tuple(reversed(dict(reversed(nbest)).items()))[:_MOST_NBEST]
            self._shortened[number] += 1
        sure = spread_record(record)
        packed = None if sure is None else array("d", sure).tobytes()
        return json.dumps(nbest) if nbest else "", packed


def _hypotheses(
    engine: str, text: str, data: str, sure: bytes | None
) -> tuple[Hypothesis, list[Hypothesis]]:
    """The engine's reading and its n-best list, best first."""
    tokens = _PLAIN.tokens(text)
    nbest = json.loads(data) if data else []
    scores = {_PLAIN.tokens(t): score for t, score in reversed(nbest)}
    logprobs = None if sure is None else _logprobs(text, array("d", sure), tokens)
    more = [Hypothesis(engine, t, score=score) for t, score in reversed(scores.items())]
    return Hypothesis(engine, tokens, logprobs, score=scores.get(tokens)), more


def _logprobs(
    text: str, confidences: Sequence[float], tokens: Sequence[str]
) -> tuple[float, ...] | None:
    """The confidences as natural logarithms, one for each token that the profile leaves; None
    where the profile rearranged the text."""
    given = graphemes(text)
    if given == tokens:
        return tuple(math.log(sure) if sure > _LEAST_SHARE else _LEAST for sure in confidences)
    kept: list[tuple[str, float]] = []
    for token, sure in zip(given, confidences, strict=True):
        token = " " if token.isspace() else _PLAIN.apply(token)
        if token == " " and kept and kept[-1][0] == " ":
            kept[-1] = " ", min(sure, kept[-1][1])
        elif token and (token != " " or kept):
            kept.append((token, sure))
    if kept and kept[-1][0] == " ":
        kept.pop()
    if tuple(token for token, _ in kept) != tuple(tokens):
        return None
    return tuple(math.log(sure) if sure > _LEAST_SHARE else _LEAST for _, sure in kept)
