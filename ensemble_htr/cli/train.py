"""``ensemble-htr train RECIPE``."""

from __future__ import annotations

import os
from pathlib import Path

import click

_PLACE = click.Path(path_type=Path)


@click.command("train")
@click.argument("recipe", type=_PLACE)
@click.option("-o", "--out", type=_PLACE, help="Folder of the run [runs/RECIPE's folder].")
@click.option("--data", type=_PLACE, help="Data root [$ENSEMBLE_HTR_DATA or ../shared/data].")
@click.option("--packed", type=_PLACE, help="Train from this file of packed lines, not from pages.")
@click.option("--pack", type=_PLACE, help="Only write the recipe's lines to this file, then stop.")
@click.option(
    "--quality",
    type=click.IntRange(0, 100),
    default=25,
    show_default=True,
    help="WebP quality of --pack; 0 = lossless.",
)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in the folder.")
@click.option("--minutes", type=float, help="Stop after this time, checkpoint saved.")
def train(
    recipe: Path,
    out: Path | None,
    data: Path | None,
    packed: Path | None,
    pack: Path | None,
    quality: int,
    resume: bool,
    minutes: float | None,
) -> None:
    """Train the recognizer that RECIPE describes; interrupt and --resume as you like."""
    from ensemble_htr.cli.needs import needs

    with needs("train", "training"):
        from ensemble_htr.train.verb import make_pack
        from ensemble_htr.train.verb import train as run

    root = data or Path(os.environ.get("ENSEMBLE_HTR_DATA", "../shared/data"))
    if pack is not None:
        size = make_pack(recipe, root, pack, quality)
        click.echo(f"{pack}: {size / 1e6:.1f} MB")
        return
    folder = out or Path("runs") / (recipe.parent.name or recipe.stem)
    best = run(recipe, folder, root=root, packed=packed, resume=resume, minutes=minutes)
    click.echo(f"best val CER on lines with a letter: {best:.4f}  ({folder})")
