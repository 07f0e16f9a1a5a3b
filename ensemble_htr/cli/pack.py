"""``ensemble-htr pack``: language packs."""

from __future__ import annotations

import os
from pathlib import Path

import click

__all__ = ["pack"]

_PATH = click.Path(path_type=Path)


@click.group()
def pack() -> None:
    """Build language packs; `models list` shows those that are there."""


@pack.command()
@click.argument("name")
@click.option("--texts", multiple=True, required=True, type=_PATH, metavar="PATH",
              help="Its text: .txt, .txt.gz, .txt.xz, PAGE, ALTO, a folder (repeat).")  # fmt: skip
@click.option("--words", multiple=True, type=_PATH, metavar="PATH",
              help="A list of its words. [counted in the texts]")  # fmt: skip
@click.option("--names", multiple=True, type=_PATH, metavar="PATH",
              help="A list of names or places, a voice of its own (repeat).")  # fmt: skip
@click.option("--profile", default="plain", show_default=True, help="Text normalisation.")
@click.option("--direction", type=click.Choice(["ltr", "rtl"]), default="ltr", show_default=True,
              help="How it is written; texts are in logical order in any case.")  # fmt: skip
@click.option("--order", type=click.IntRange(1, 10), default=6, show_default=True)
@click.option("-o", "--output", type=_PATH,
              help="Folder. [$ENSEMBLE_HTR_HOME/packs/NAME, else ./NAME]")  # fmt: skip
def build(
    name: str, texts: tuple[Path, ...], words: tuple[Path, ...], names: tuple[Path, ...],
    profile: str, direction: str, order: int, output: Path | None,
) -> None:  # fmt: skip
    """Build the pack NAME: alphabet, language models forward and backward, words and names.

    Then: transcribe --language ./NAME, or by its name where it lies in $ENSEMBLE_HTR_HOME/packs.
    Our recognizers read from left to right only: with a pack of --direction rtl, combine what other
    engines read.
    """
    from ensemble_htr.assets import HOME_VARIABLE
    from ensemble_htr.packs import Sources, build_pack

    home = os.environ.get(HOME_VARIABLE)
    out = output or (Path(home).expanduser() / "packs" / name if home else Path(name))
    sources = Sources(texts, words, names, profile, direction, order)  # type: ignore[arg-type]
    built = build_pack(name, sources, out, lambda line: click.echo(line, err=True))
    click.echo(f"{len(built.alphabet)} characters", err=True)
    click.echo(out)
