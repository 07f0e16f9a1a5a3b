"""``ensemble-htr demo``: the bundled page, without a network or any data of one's own."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["demo"]


@click.command()
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("demo-out"),
              show_default=True, help="Folder for the PAGE file and the HTML view.")  # fmt: skip
def demo(out: Path) -> None:
    """Read the bundled page and show what came out.

    For every line: what each recognizer read, where they disagreed (^), what was chosen and how
    sure that is. OUT then holds the page as PAGE XML and as an HTML view.
    """
    from ensemble_htr.demo import run_demo
    from ensemble_htr.pipeline import Pipeline

    run_demo(Pipeline.load().read_page, out, click.echo)
