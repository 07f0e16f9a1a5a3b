"""``ensemble-htr models``: what is on the shelves, and whether it is whole."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from ensemble_htr import assets
from ensemble_htr.errors import AssetError

__all__ = ["models"]

_SHOWN: tuple[assets.Kind, ...] = ("models", "lm", "lexicons", "sample")


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
            self.name,
            self.kind,
            f"{self.parameters / 1e6:.2f} M" if self.parameters else "-",
            f"{self.bytes / 1e6:.1f} MB" if self.bytes is not None else "-",
            "ok" if self.ok else "BROKEN",
            self.card,
        )


@click.group()
def models() -> None:
    """List what is on the shelves."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_(as_json: bool) -> None:
    """Name, kind, parameters, size, state and the first line of each card.

    The exit status is 1 if any product is not what its lock says.
    """
    rows = [_row(k, name, path) for k in _SHOWN for name, path in assets.available(k).items()]
    if as_json:
        for row in rows:
            click.echo(json.dumps(asdict(row), ensure_ascii=False))
    elif rows:
        _print_table(rows)
    else:
        click.echo("nothing on any shelf", err=True)
    if not all(row.ok for row in rows):
        raise AssetError("some products are not what their lock says (named above)")


def _row(kind: assets.Kind, name: str, folder: Path) -> _Row:
    card = assets.card_line(folder)
    try:
        lock = assets.verify(folder)
    except AssetError as error:
        click.echo(f"ensemble-htr: error: {error}", err=True)
        return _Row(name, kind, None, None, False, card, str(folder))
    parameters = lock.facts.get("parameters")
    count = parameters if isinstance(parameters, int) else None
    return _Row(name, kind, count, lock.bytes, True, card, str(folder))


def _print_table(rows: list[_Row]) -> None:
    cells: list[tuple[str, ...]] = [("NAME", "KIND", "PARAMETERS", "SIZE", "STATE", "WHAT IT IS")]
    cells += [row.cells() for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    for row in cells:
        fixed = "  ".join(text.ljust(width) for text, width in zip(row[:5], widths, strict=True))
        click.echo(f"{fixed}  {row[5]}".rstrip())
