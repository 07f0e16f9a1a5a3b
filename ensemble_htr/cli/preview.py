"""``ensemble-htr preview``: one picture that shows every preprocessing step of a page."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["preview"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("source", metavar="INPUT", type=_PATH)
@click.option("-o", "--output", type=_PATH, metavar="FILE.png",
              help="Where the picture goes. [PAGE.preview.png, here]")  # fmt: skip
@click.option("--model", default="default", show_default=True, help="Name or folder.")
@click.option("--page", "number", type=click.IntRange(min=1), default=1, show_default=True,
              metavar="N", help="Which page of INPUT.")  # fmt: skip
@click.option("--segmenter", default="ink", show_default=True, metavar="NAME",
              help="Who finds the lines of a bare page.")  # fmt: skip
def preview(source: Path, output: Path | None, model: str, number: int, segmenter: str) -> None:
    """Show what happens to a page before it is read, in one picture.

    The page with its lines, the page after each step, and some lines as they are cut, with each
    line step. Steps that the model has off are shown too, marked as off: [preprocess] in its
    model.toml switches them.
    """
    from ensemble_htr.cli.needs import needs
    from ensemble_htr.preview import preview as run

    with needs("recognize", "a preview"):
        click.echo(run(source, output, model, number, segmenter))
