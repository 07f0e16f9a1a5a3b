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
@click.argument("lists", nargs=-1, required=True, type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="The file to write, NAME.lex.")
@click.option("--name", help="What the list holds: given, surnames, places, streets...")
@click.option("--format", "form", type=click.Choice(["text", "csv", "tsv"]),
              help="By default told by each file's name.")  # fmt: skip
@click.option("--column", default="", help="Header or number (from 1) of the names' column.")
@click.option("--count-column", default="", help="Header or number of the counts' column.")
def build(
    lists: tuple[Path, ...], output: Path, name: str | None, form: str | None, column: str,
    count_column: str,
) -> None:  # fmt: skip
    """Build one list from LISTS (.txt, .csv, .tsv, also .gz or .xz); counts of equal names add."""
    from ensemble_htr.errors import UsageError
    from ensemble_htr.lexicon import Columns, read_entries
    from ensemble_htr.lexicon import build as run

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
