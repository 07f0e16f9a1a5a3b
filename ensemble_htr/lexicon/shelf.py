"""Lexicons as a product of a shelf: several lists in one folder, made from a recipe.

A product holds plain lists (``NAME.tsv.xz``: entry, tab, count), the files of the shelf's anatomy,
and nothing compiled: what a machine maps into memory is made there (`build.compiled`).
"""

from __future__ import annotations

import lzma
import platform
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ensemble_htr.assets import sha256_file, write_lock
from ensemble_htr.errors import InputError
from ensemble_htr.files import atomic_write
from ensemble_htr.lexicon.lists import read_entries, read_text

__all__ = ["Part", "Recipe", "build_shelf", "lists_of"]

SUFFIX = ".tsv.xz"


@dataclass(frozen=True, slots=True)
class Part:
    """One list of a lexicon: entries of ready ``lists``, and what ``pattern`` finds in ``texts``
    (the part in brackets; files are relative to the data root)."""

    name: str
    lists: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    pattern: str = ""
    least: float = 1.0  # entries counted less often in ``texts`` are left out


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the bytes of a lexicon."""

    name: str
    parts: tuple[Part, ...]
    description: str = ""
    licence: str = ""
    attribution: tuple[str, ...] = ()  # lines for the card
    limits: tuple[str, ...] = ()  # where it fails, lines for the card


def lists_of(folder: Path) -> dict[str, Path]:
    """The lists in a product's folder by name."""
    found = {path.name.removesuffix(SUFFIX): path for path in sorted(folder.glob(f"*{SUFFIX}"))}
    if not found:
        raise InputError(f"{folder}: holds no list of names (wanted NAME{SUFFIX})")
    return found


def build_shelf(recipe: Recipe, out: Path, root: Path) -> dict[str, int]:
    """Write the product of a recipe into ``out``, with lock and card; the entries of each list.

    Raises `InputError` for a source that is missing or a list without entries.
    """
    sizes = {}
    for part in recipe.parts:
        entries = _entries(part, root)
        if not entries:
            raise InputError(f"lexicon '{recipe.name}': list '{part.name}' has no entries")
        rows = "".join(f"{entry}\t{count:g}\n" for entry, count in sorted(entries.items()))
        packed = lzma.compress(rows.encode(), preset=9 | lzma.PRESET_EXTREME)
        atomic_write(out / f"{part.name}{SUFFIX}", packed)
        sizes[part.name] = len(entries)
    atomic_write(out / "card.md", _card(recipe, sizes, out))
    sources = dict.fromkeys(name for part in recipe.parts for name in (*part.lists, *part.texts))
    write_lock(
        out,
        [f"{part.name}{SUFFIX}" for part in recipe.parts],
        licence=recipe.licence,
        data={name: sha256_file(root / name) for name in sources},
        tools={"python": platform.python_version()},
        facts={"name": recipe.name, "entries": sizes},
    )
    return sizes


def _entries(part: Part, root: Path) -> dict[str, float]:
    found: Counter[str] = Counter()
    for name in part.texts:
        found.update(re.findall(part.pattern, read_text(root / name).replace("’", "'")))
    kept: dict[str, float] = {entry: float(n) for entry, n in found.items() if n >= part.least}
    for name in part.lists:
        for entry, count in read_entries(root / name).items():
            kept[entry] = kept.get(entry, 0.0) + count
    return kept


def _card(recipe: Recipe, sizes: Mapping[str, int], out: Path) -> str:
    rows = [f"# Lexicon {recipe.name}", "", recipe.description.strip(), ""]
    rows += ["Written by `ensemble-htr lexicon build --recipe`.", "", "## Made of", ""]
    rows += ["| list | entries | bytes packed | sources |", "|---|---|---|---|"]
    for part in recipe.parts:
        size = (out / f"{part.name}{SUFFIX}").stat().st_size
        sources = ", ".join(Path(name).name for name in (*part.lists, *part.texts))
        rows.append(f"| {part.name} | {sizes[part.name]:,} | {size:,} | {sources} |")
    for title, lines in (("Where it fails", recipe.limits), ("Credit", recipe.attribution)):
        rows += ["", f"## {title}", "", *(f"- {line}" for line in lines)] if lines else []
    return "\n".join([*rows, "", f"Licence: {recipe.licence}."]) + "\n"
