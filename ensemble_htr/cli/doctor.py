"""``ensemble-htr doctor``: what this machine has, and what is to be done."""

from __future__ import annotations

from pathlib import Path

import click

from ensemble_htr.errors import EnsembleError

__all__ = ["doctor"]


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="OUT",
              help="See whether results can be written there. [the current folder]")  # fmt: skip
@click.option("--wait", type=click.FloatRange(0, 600), default=1.0, show_default=True,
              metavar="SECONDS", help="How long libraries may take to load.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(output: Path | None, wait: float, as_json: bool) -> None:
    """Show versions, CPU, backends, products and places, with advice where something is to be done.

    The exit status is 1 if something needed is broken: a library that does not load, a product
    that is not what its lock says.
    """
    from ensemble_htr import doctor as verb

    findings = verb.examine(output, wait)
    click.echo(verb.as_json(findings) if as_json else verb.as_text(findings))
    if bad := verb.broken(findings):
        raise EnsembleError(f"broken: {', '.join(f.name for f in bad)} (see above)")
