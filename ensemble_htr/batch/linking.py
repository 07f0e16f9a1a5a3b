"""Finding the lines that an engine's rows belong to, in the tables of `ensemble_htr.batch.merging`.

A row finds its line by page and id, an empty page standing for any; on pages where that leaves
both rows and lines over, by place (where both have one), or by text if nothing on the page was
found before (else the ids are of one making, and what is over is a line of its own). Rows that
are only numbered go by their numbers where these fit the page, else by text. Ids that two engines
have in common by chance (most texts under them have nothing in common) do not count where places
are known.
"""

from __future__ import annotations

import functools
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ensemble_htr.batch.engines import Engine
from ensemble_htr.batch.matching import Strips, by_place, page_strips
from ensemble_htr.batch.progress import captured_warnings
from ensemble_htr.errors import InputError, printable
from ensemble_htr.io.linetexts import line_number
from ensemble_htr.io.pages import read_page
from ensemble_htr.metrics import alike, by_number, by_text

__all__ = ["TABLES", "Found", "Linker", "decoded", "encoded"]

TABLES = """
CREATE TABLE lines (position INTEGER PRIMARY KEY, page, id, doc);
CREATE INDEX line_ids ON lines (id, page);
CREATE INDEX line_pages ON lines (page);
CREATE TABLE rows (
    n INTEGER, engine INTEGER, page, id, doc, text, data, sure, numbered, line INTEGER
);
CREATE UNIQUE INDEX row_ids ON rows (engine, id, page);
CREATE INDEX row_lines ON rows (line, engine);
CREATE INDEX row_pages ON rows (page, engine);
CREATE TABLE lonely (position INTEGER, page, id);
CREATE INDEX lonely_ids ON lonely (id);
CREATE TABLE apart (page PRIMARY KEY, engine INTEGER)
"""
# Of one engine (?1), where ?2 is the empty page: a line finds the row of its own page and id, or
# else the only row of its id if either of them is on no page in particular.
_EXACT = """UPDATE rows SET line = (
        SELECT position FROM lines WHERE lines.id = rows.id AND lines.page = rows.page
    ) WHERE engine = ?1 AND NOT numbered"""
_LONELY = """INSERT INTO lonely SELECT position, page, id FROM lines WHERE NOT EXISTS (
        SELECT 1 FROM rows WHERE engine = ?1 AND rows.id = lines.id AND rows.page = lines.page
    ) AND EXISTS (
        SELECT 1 FROM rows WHERE engine = ?1 AND rows.id = lines.id AND NOT numbered
            AND (rows.page = ?2 OR lines.page = ?2)
    )"""
_AMBIGUOUS = """SELECT id FROM lonely WHERE (
        SELECT COUNT(*) FROM lines WHERE lines.id = lonely.id
    ) > 1 OR (
        SELECT COUNT(*) FROM rows WHERE engine = ?1 AND rows.id = lonely.id
            AND (rows.page = ?2 OR lonely.page = ?2)
    ) > 1 ORDER BY position LIMIT 1"""
_LOOSE = """UPDATE rows SET line = (SELECT position FROM lonely WHERE lonely.id = rows.id)
    WHERE engine = ?1 AND line IS NULL AND NOT numbered AND EXISTS (
        SELECT 1 FROM lonely WHERE lonely.id = rows.id AND (lonely.page = ?2 OR rows.page = ?2))"""
_BY_CHANCE = """SELECT lines.page FROM rows JOIN lines ON position = rows.line
    JOIN rows AS prior ON prior.line = rows.line AND prior.engine = (
        SELECT MIN(other.engine) FROM rows AS other WHERE other.line = rows.line
            AND other.engine != ?1 AND other.data IS NOT NULL)
    WHERE rows.engine = ?1 AND rows.data IS NOT NULL
    GROUP BY lines.page HAVING 2 * SUM(alike(rows.text, prior.text)) < COUNT(*) AND COUNT(*) > 2"""
_NAME = """UPDATE lines SET (page, doc) = (
        SELECT rows.page, CASE WHEN lines.doc = ?2 THEN rows.doc ELSE lines.doc END
        FROM rows WHERE engine = ?1 AND line = position
    ) WHERE page = ?2 AND EXISTS (
        SELECT 1 FROM rows WHERE engine = ?1 AND line = position AND rows.page != ?2
            AND NOT numbered)"""
_EXTRA = """UPDATE rows SET line = extra.place FROM (
        SELECT rowid AS spot, ?2 - 1 + ROW_NUMBER() OVER (ORDER BY n) AS place FROM rows
        WHERE engine = ?1 AND line IS NULL
    ) AS extra WHERE rows.rowid = extra.spot"""
_NEW = "INSERT INTO lines SELECT line, page, id, doc FROM rows WHERE engine = ?1 AND line >= ?2"
_DOUBLE = """SELECT position, page, id FROM lines WHERE position >= ?1 AND EXISTS (
        SELECT 1 FROM lines AS old WHERE old.id = lines.id AND old.page = lines.page
            AND old.position < lines.position)"""
_OPEN_LINES = """SELECT position, id, (
        SELECT text FROM rows WHERE line = position AND data IS NOT NULL ORDER BY engine LIMIT 1
    ) FROM lines WHERE {} AND NOT EXISTS (
        SELECT 1 FROM rows WHERE line = position AND engine = ?1) ORDER BY position"""
_OPEN_ROWS = """SELECT rowid, id, text FROM rows WHERE engine = ?1 AND page = ?2 AND line IS NULL
    AND data IS NOT NULL ORDER BY n"""
_OPEN_PAGES = """SELECT page, numbered FROM rows WHERE engine = ?1 AND line IS NULL
    AND data IS NOT NULL GROUP BY page, numbered ORDER BY MIN(n)"""

Item = tuple[int, bytes, str | None]  # a line's position or a row's rowid, its id, its text


@dataclass(slots=True)
class Found:
    """How the rows of one engine found their lines: the count by each way but the id, and of the
    rows that are on a line of no other engine before, with the first of them."""

    ways: Counter[str] = field(default_factory=Counter)
    extra: int = 0
    examples: tuple[str, ...] = ()


class Linker:
    """Finds the lines of one engine after the other; lines that nobody had before come last."""

    def __init__(self, base: sqlite3.Connection, engines: Sequence[Engine]) -> None:
        self._base = base
        self._engines = engines
        self.size = 0  # lines so far
        base.create_function("alike", 2, lambda a, b: alike(a, b), deterministic=True)

    def link(self, number: int) -> Found:
        """Give every row of an engine its line; raises `InputError` where an id leaves a choice."""
        found, one, two = Found(), (number,), (number, encoded(""))
        if self.size:
            self._by_id(number)
            for page in self._pages_by_chance(number):
                self._base.execute(
                    "UPDATE rows SET line = NULL WHERE engine = ? AND page = ?", (number, page)
                )
            pages = self._base.execute(_OPEN_PAGES, one).fetchall()
            for page, numbered in pages:
                way = self._by_number if numbered else self._on_page
                way(number, page, len(pages), found)
        self._base.execute(_NAME, two)
        extra = self._base.execute(_EXTRA, (number, self.size)).rowcount
        if self.size and extra:
            self._note(number, found)
        self._base.execute(_NEW, (number, self.size))
        if self.size:
            self._rename(self.size)
        self.size += extra
        return found

    def _by_id(self, number: int) -> None:
        self._base.execute(_EXACT, (number,))
        self._base.execute("DELETE FROM lonely")
        two = (number, encoded(""))
        self._base.execute(_LONELY, two)
        if (found := self._base.execute(_AMBIGUOUS, two).fetchone()) is not None:
            name = self._engines[number].name
            raise InputError(
                f"{name}: line id '{printable(decoded(found[0]), 80)}' occurs "
                "on several pages, and rows without a 'page' do not say which is meant; add "
                '"page" to them'
            )
        self._base.execute(_LOOSE, two)

    def _pages_by_chance(self, number: int) -> list[bytes]:
        """Pages on which ids are the same by chance, and places can say better."""
        if not self._engines[number].xml:
            return []
        pages = [page for (page,) in self._base.execute(_BY_CHANCE, (number,))]
        others = [i for i, e in enumerate(self._engines) if i != number and e.xml]
        return [
            page
            for page in pages
            if self._strips(number, page) and any(self._strips(i, page) for i in others)
        ]

    def _on_page(self, number: int, page: bytes, _: int, found: Found) -> None:
        """By place; by text if nothing on this page is matched so far."""
        lines = self._lines("page = ?2", number, page)
        rows: list[Item] = self._base.execute(_OPEN_ROWS, (number, page)).fetchall()
        if not lines or not rows:
            return
        if strips := self._strips(number, page):
            places = self._line_strips(page, lines)
            pairs = by_place(places, [strips.get(name) for _, name, _ in rows])
            self._set(lines, rows, pairs, found, "place")
        shared = self._base.execute(
            "SELECT 1 FROM rows WHERE engine = ? AND page = ? AND line IS NOT NULL LIMIT 1",
            (number, page),
        ).fetchone()
        if shared is None:
            pairs = by_text([text or "" for *_, text in lines], [text or "" for *_, text in rows])
            self._set(lines, rows, pairs, found, "text")

    def _by_number(self, number: int, page: bytes, pages: int, found: Found) -> None:
        known = self._base.execute("SELECT 1 FROM lines WHERE page = ? LIMIT 1", (page,)).fetchone()
        if known is None and pages > 1:
            return
        lines = self._lines("page = ?2" if known else "?2 IS NOT NULL", number, page)
        rows: list[Item] = self._base.execute(_OPEN_ROWS, (number, page)).fetchall()
        pairs, way = by_number(_numbered(lines), _numbered(rows))
        self._set(lines, rows, pairs, found, way)

    def _lines(self, condition: str, number: int, page: bytes) -> list[Item]:
        return self._base.execute(_OPEN_LINES.format(condition), (number, page)).fetchall()

    def _set(
        self,
        lines: Sequence[Item],
        rows: Sequence[Item],
        pairs: Sequence[tuple[int, int]],
        found: Found,
        way: str,
    ) -> None:
        self._base.executemany(
            "UPDATE rows SET line = ? WHERE rowid = ?",
            [(lines[i][0], rows[j][0]) for i, j in pairs],
        )
        found.ways[way] += len(pairs)

    def _line_strips(self, page: bytes, lines: Sequence[Item]) -> list[Strips | None]:
        """The place of each line as the first engine that knows it has it."""
        known: list[Strips | None] = []
        for position, _, _ in lines:
            rows = self._base.execute(
                "SELECT engine, id FROM rows WHERE line = ? ORDER BY engine", (position,)
            )
            places = (self._strips(engine, page).get(name) for engine, name in rows)
            known.append(next((place for place in places if place is not None), None))
        return known

    def _strips(self, number: int, page: bytes) -> dict[bytes, Strips]:
        xml = self._engines[number].xml.get(decoded(page))
        return {} if xml is None else _strips(xml)

    def _note(self, number: int, found: Found) -> None:
        """Say which rows are on new lines."""
        query = "SELECT {} FROM rows WHERE engine = ? AND line >= ? AND data IS NOT NULL"
        new = number, self.size
        (found.extra,) = self._base.execute(query.format("COUNT(*)"), new).fetchone()
        rows = self._base.execute(query.format("page, id") + " ORDER BY line LIMIT 3", new)
        found.examples = tuple("/".join(filter(None, map(decoded, row))) for row in rows)

    def _rename(self, first: int) -> None:
        """New lines whose id another line of the page has get a number behind it."""
        for position, page, name in self._base.execute(_DOUBLE, (first,)).fetchall():
            count, taken = 2, True
            while taken:
                other = encoded(f"{decoded(name)}-{count}")
                query = "SELECT 1 FROM lines WHERE id = ? AND page = ?"
                taken = self._base.execute(query, (other, page)).fetchone() is not None
                count += 1
            self._base.execute("UPDATE lines SET id = ? WHERE position = ?", (other, position))


def _numbered(items: Sequence[Item]) -> list[tuple[int, str | None]]:
    return [(line_number(decoded(name)), text) for _, name, text in items]


@functools.lru_cache(maxsize=16)
def _strips(xml: Path) -> dict[bytes, Strips]:
    """Where the lines of a page file are; {} for one that cannot be read (said elsewhere)."""
    with captured_warnings():
        try:
            found = page_strips(read_page(xml))
        except InputError:
            return {}
    return {encoded(name): strips for name, strips in found.items()}


def encoded(text: str) -> bytes:
    """As SQLite may hold any of it: names of files need not be UTF-8."""
    return text.encode("utf-8", "surrogatepass")


def decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")
