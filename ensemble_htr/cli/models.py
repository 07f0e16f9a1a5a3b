"""``ensemble-htr models``: what is on the shelves, whether it is whole, and how it leaves them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from ensemble_htr import assets
from ensemble_htr.errors import AssetError, printable

__all__ = ["models"]

_SHOWN: tuple[assets.Kind, ...] = ("models", "lm", "lexicons", "packs", "sample")
_WIDEST = 200  # characters of a name or a card's line in the list


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    kind: str
    parameters: int | None  # of a network
    bytes: int | None  # of all its files; None if broken
    ok: bool  # every file is what the lock says
    card: str
    path: str

    def cells(self) -> tuple[str, ...]:
        return (
            printable(self.name, _WIDEST),
            self.kind,
            f"{self.parameters / 1e6:.2f} M" if self.parameters else "-",
            f"{self.bytes / 1e6:.1f} MB" if self.bytes is not None else "-",
            "ok" if self.ok else "BROKEN",
            printable(self.card, _WIDEST),
        )


@click.group()
def models() -> None:
    """List, show and export what is on the shelves."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_(as_json: bool) -> None:
    """Name, kind, parameters, size, state and the first line of each card.

    The exit status is 1 if any product is not what its lock says.
    """
    rows = [_row(k, name, path) for k in _SHOWN for name, path in assets.available(k).items()]
    if as_json:
        for row in rows:
            click.echo(_json(asdict(row)))
    elif rows:
        _print_table(rows)
    else:
        click.echo("nothing on any shelf", err=True)
    if not all(row.ok for row in rows):
        raise AssetError("some products are not what their lock says (named above)")


@models.command()
@click.argument("name", metavar="NAME|KIND/NAME|FOLDER")
@click.option(
    "--json", "as_json", is_flag=True, help="Kind, path and lock, one JSON object a line."
)
def show(name: str, as_json: bool) -> None:
    """Print card, files, hashes and facts of a product, or of a folder with a lock.

    Of several products of one NAME all are shown; KIND/NAME is the one of a kind, as in
    lm/fr-archive. A folder is given by its path, as ./mine.
    """
    for number, (kind, folder) in enumerate(_found(name)):
        if number and not as_json:
            click.echo()
        _show(kind, folder, as_json)


def _show(kind: str, folder: Path, as_json: bool) -> None:
    lock = assets.verify(folder)
    if as_json:
        files = {file: asdict(entry) for file, entry in lock.files.items()}
        told = {"name": folder.name, "kind": kind, "path": str(folder), "files": files,
                "licence": lock.licence, "data": lock.data, "tools": lock.tools,
                "facts": lock.facts}  # fmt: skip
        click.echo(_json(told))
        return
    if card := assets.card_text(folder).rstrip():
        for line in card.splitlines():
            click.echo(" ".join(map(printable, line.expandtabs().split(" "))))
        click.echo()
    click.echo(printable(f"{kind}: {folder} ({lock.bytes / 1e6:.1f} MB, whole)"))
    for file, entry in lock.files.items():
        click.echo(f"  {entry.sha256}  {entry.bytes:>10}  {printable(file)}")
    for key, value in {"licence": lock.licence, "data": lock.data, "tools": lock.tools,
                       **lock.facts}.items():  # fmt: skip
        if value:
            click.echo(printable(f"{key}: {_short(value)}"))


@models.command()
@click.argument("name")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path),
              help="Folder, or FOLDER/model.onnx of one recognizer.")  # fmt: skip
def export(name: str, output: Path) -> None:
    """Export NAME, a CTC recognizer or an ensemble of them, for ONNX Runtime.

    The exported ensemble is a model like any other (transcribe --model ./FOLDER), read without
    torch. A network that differs from its original by more than 1e-4 is refused.
    """
    from ensemble_htr.cli.needs import needs

    with needs("train", "exporting networks"):
        from ensemble_htr.train.export import export as run

    for path in run(name, output, lambda line: click.echo(line, err=True)):
        click.echo(path)


def _found(name: str) -> Sequence[tuple[str, Path]]:
    """The kind and the folder of the product KIND/NAME, of all called NAME, or of a folder."""
    known = {kind: assets.available(kind) for kind in _SHOWN}
    for kind in _SHOWN:
        one = name.removeprefix(f"{kind}/")
        if one != name and "/" not in one and (one in known[kind] or not os.path.exists(name)):
            return [(kind, assets.resolve(kind, one, check=False))]
    if "/" in name or Path(name).is_absolute():
        return [("folder", assets.resolve("models", name, check=False))]
    found = [(kind, products[name]) for kind, products in known.items() if name in products]
    if not found:
        raise assets.unknown("product", name, {n for products in known.values() for n in products})
    return found


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 400 else f"{text[:400]}... (all of it: --json)"


def _json(value: object) -> str:
    """In one line; all but ASCII escaped where a terminal would obey it or could not show it."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _row(kind: assets.Kind, name: str, folder: Path) -> _Row:
    card = assets.card_line(folder)
    try:
        lock = assets.verify(folder)
    except AssetError as error:
        click.echo(printable(f"ensemble-htr: error: {error}"), err=True)
        return _Row(name, kind, None, None, False, card, str(folder))
    parameters = lock.facts.get("parameters")
    count = parameters if isinstance(parameters, int) and abs(parameters) < 1e15 else None
    return _Row(name, kind, count, lock.bytes, True, card, str(folder))


def _print_table(rows: list[_Row]) -> None:
    cells: list[tuple[str, ...]] = [("NAME", "KIND", "PARAMETERS", "SIZE", "STATE", "WHAT IT IS")]
    cells += [row.cells() for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    for row in cells:
        fixed = "  ".join(text.ljust(width) for text, width in zip(row[:5], widths, strict=True))
        click.echo(f"{fixed}  {row[5]}".rstrip())
