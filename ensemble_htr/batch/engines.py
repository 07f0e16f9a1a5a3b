"""Engines: what other programs read, as files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ensemble_htr.errors import InputError, UsageError, XMLError
from ensemble_htr.io.finding import page_stem
from ensemble_htr.io.pages import page_count, page_format
from ensemble_htr.io.readings import is_plain, iter_records, record_files
from ensemble_htr.io.records import Record
from ensemble_htr.types import Hypothesis

__all__ = ["Engine", "MergedLine", "Rows", "engine_argument", "load_engines"]


@dataclass(frozen=True, slots=True)
class Engine:
    """What one engine read: ``records`` can be gone through again and again, ``files`` are all that
    it consists of. ``xml`` are its page files by stem, empty for JSONL and TSV (and without hOCR
    files of several pages, which give lines but no page to write into); ``broken`` are those of
    them that could not be read, once the records were gone through."""

    name: str
    path: Path
    records: Iterable[Record]
    xml: Mapping[str, Path]
    files: tuple[Path, ...] = ()
    broken: Mapping[Path, InputError] = field(default_factory=dict)
    plain: bool = False  # its lines have no ids, but numbers


@dataclass(frozen=True, slots=True)
class Rows:
    """The records at ``path``, read anew each time; raises `InputError` as `iter_records`, but for
    ``pages``: what is wrong with these goes into ``broken``."""

    path: Path
    pages: Collection[Path] = ()
    broken: dict[Path, InputError] = field(default_factory=dict)
    out: Path | None = None

    def __iter__(self) -> Iterator[Record]:
        self.broken.clear()
        return iter_records(self.path, self._note, self.out)

    def _note(self, file: Path, error: InputError) -> None:
        if file not in self.pages:
            raise error
        self.broken[file] = error


@dataclass(frozen=True, slots=True)
class MergedLine:
    """One line as all engines that have it read it: a row each, and their n-best lists."""

    id: str
    page: str
    doc: str
    rows: tuple[Hypothesis, ...]
    alternatives: tuple[Hypothesis, ...] = ()


def engine_argument(value: str) -> tuple[str, Path]:
    """``NAME=PATH`` in two; raises `UsageError`."""
    name, equals, path = value.partition("=")
    name = name.strip()
    if not equals or not name or not path:
        raise UsageError(f"--engine '{value}': wanted NAME=PATH, for example kraken=out/kraken")
    if "#" in name:
        raise UsageError(f"--engine '{value}': a name cannot hold '#'")
    return name, Path(path)


def load_engines(engines: Sequence[tuple[str, Path]], out: Path | None = None) -> list[Engine]:
    """Find all engines' files, but for those in a folder ``out`` below their folders; raises
    `UsageError` for a name given twice, `InputError` for a place that holds nothing readable.
    """
    loaded: dict[str, Engine] = {}
    for name, path in engines:
        if name in loaded:
            raise UsageError(f"two engines are called '{name}': give each a name of its own")
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        files = tuple(record_files(path, out))
        xml = {}
        for file in files:
            kind = page_format(file)
            if (kind or file.suffix.lower() == ".xml") and _is_one_page(file, kind):
                xml[page_stem(file, kind)] = file
        rows = Rows(path, frozenset(xml.values()), out=out)
        loaded[name] = Engine(name, path, rows, xml, files, rows.broken, any(map(is_plain, files)))
    return list(loaded.values())


def _is_one_page(file: Path, kind: str) -> bool:
    try:
        return page_count(file, kind) == 1
    except XMLError:
        return True  # said, in full, when it is read
