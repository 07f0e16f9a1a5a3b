"""``ensemble-htr lexicon``: build and ask lists of names and places."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["lexicon"]

_PATH = click.Path(path_type=Path)


@click.group()
def lexicon() -> None:
    """Build lists of names and places, and ask them."""


@lexicon.command()
@click.argument("lists", nargs=-1, type=_PATH)
@click.option(
    "-o", "--output", type=_PATH, help="The file to write, NAME.lex; of a recipe a folder."
)
@click.option("--recipe", "recipe_file", type=_PATH, help="Build from a recipe (TOML) instead.")
@click.option("--name", help="What the list holds: given, surnames, places, streets...")
@click.option("--format", "form", type=click.Choice(["text", "csv", "tsv"]),
              help="By default told by each file's name.")  # fmt: skip
@click.option("--column", default="", help="Header or number (from 1) of the names' column.")
@click.option("--count-column", default="", help="Header or number of the counts' column.")
def build(
    lists: tuple[Path, ...], output: Path | None, recipe_file: Path | None, name: str | None,
    form: str | None, column: str, count_column: str,
) -> None:  # fmt: skip
    """Build one list from LISTS (.txt, .csv, .tsv, also .gz or .xz); counts of equal names add."""
    from ensemble_htr.errors import UsageError
    from ensemble_htr.lexicon import Columns, read_entries
    from ensemble_htr.lexicon import build as run

    if recipe_file and not lists:
        return _from_recipe(recipe_file, output)
    if recipe_file or not lists or output is None:
        raise UsageError("lexicon build: wanted  LIST... -o NAME.lex  or  --recipe FILE [-o OUT]")
    if output.suffix != ".lex":
        raise UsageError(f"lexicon build: '{output}' wants to end in .lex")
    entries: dict[str, float] = {}
    for path in lists:
        found = read_entries(path, form, Columns(column, count_column))  # type: ignore[arg-type]
        for entry, count in found.items():
            entries[entry] = entries.get(entry, 0.0) + count
    keys = run(entries, name or output.stem, output)
    click.echo(f"{len(entries)} entries, {keys} keys", err=True)
    click.echo(output)


def _from_recipe(path: Path, output: Path | None) -> None:
    from ensemble_htr.assets import data_root
    from ensemble_htr.config import load_toml
    from ensemble_htr.lexicon.shelf import Recipe, build_shelf

    out = output or path.parent
    for name, size in build_shelf(load_toml(path, Recipe), out, data_root()).items():
        click.echo(f"{name}: {size} entries", err=True)
    click.echo(out)


@lexicon.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--lexicon", "paths", multiple=True, required=True, type=_PATH, metavar="PATH")
@click.option("--most", default=5, show_default=True, type=click.IntRange(1, 100))
def ask(words: tuple[str, ...], paths: tuple[Path, ...], most: int) -> None:
    """Print what WORDS are or might be: word, entry, list, distance, log prior."""
    from ensemble_htr.lexicon import Lexicon, NameList

    lexicon = Lexicon([NameList.load(path) for path in paths])
    for word in words:
        for match in lexicon.lookup(word, most):
            click.echo(f"{word}\t{match.entry}\t{match.list}\t{match.distance:.2f}"
                       f"\t{match.log_prior:.2f}")  # fmt: skip
