"""``ensemble-htr lm``: build language models."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["lm"]

_PATH = click.Path(path_type=Path)


@click.group()
def lm() -> None:
    """Build language models of characters or words."""


def _weights(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    weights = {}
    for value in values:
        name, _sep, number = value.rpartition("=")
        try:
            weights[name] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise click.BadParameter(f"'{value}'; wanted TEXT=NUMBER")
    return weights


@lm.command()
@click.argument("texts", nargs=-1, type=_PATH)
@click.option("-o", "--output", type=_PATH, help="Folder, or a file .arpa, .arpa.xz, .arpa.gz.")
@click.option("--recipe", "recipe_file", type=_PATH, help="Build from a recipe (TOML) instead.")
@click.option("--level", type=click.Choice(["char", "word"]), default="char", show_default=True,
              help="What a token is: word models are for the word reader.")  # fmt: skip
@click.option("--backward", is_flag=True, help="Read every line from its end.")
@click.option("--vocabulary", type=click.IntRange(0), default=0, metavar="N",
              help="Keep the N most frequent words of a word model (0: all).")  # fmt: skip
@click.option("--order", type=click.IntRange(1, 10), default=6, show_default=True,
              help="Above 6, KenLM wants to be built for it; ours reads it.")  # fmt: skip
@click.option("--profile", default="fr-archive", show_default=True, help="Text normalisation.")
@click.option("--weight", "weights", multiple=True, callback=_weights, metavar="TEXT=W",
              help="Share of a TEXT in the mix; each TEXT is then a model of its own.")  # fmt: skip
@click.option("--held-out", multiple=True, type=_PATH, help="Text, PAGE or ALTO to fit shares on.")
@click.option("--gamma", default=0.0, show_default=True, help="Let the context choose the share.")
@click.option("--prune", default=0.0, show_default=True, help="Relative-entropy threshold.")
def build(
    texts: tuple[Path, ...], output: Path | None, recipe_file: Path | None,
    weights: dict[str, float], held_out: tuple[Path, ...], **settings: object,
) -> None:  # fmt: skip
    """Build a model from TEXTS (.txt, .txt.gz, .txt.xz, PAGE, ALTO, folders) or a recipe."""
    from ensemble_htr.assets import data_root
    from ensemble_htr.config import load_toml
    from ensemble_htr.errors import UsageError
    from ensemble_htr.lm.build import build as run
    from ensemble_htr.lm.build import write_product
    from ensemble_htr.lm.recipe import Recipe, from_texts

    if bool(texts) == bool(recipe_file) or not (output or recipe_file):
        raise UsageError("lm build: wanted  TEXT... -o OUT  or  --recipe FILE [-o OUT]")
    if recipe_file:
        recipe, root = load_toml(recipe_file, Recipe), data_root()
    else:
        recipe, root = from_texts("text", texts, weights, held_out, **settings), Path()
    out = output or (recipe_file or Path()).parent
    built = run(recipe, root, say=lambda line: click.echo(line, err=True))
    click.echo(write_product(built, out, root))
