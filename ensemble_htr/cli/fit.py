"""``ensemble-htr fit``: learn to judge any engines."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["fit"]

_PATH = click.Path(path_type=Path)


@click.command("fit")
@click.argument("ground_truth", type=_PATH)
@click.option("--engine", "engines", multiple=True, required=True, metavar="NAME=PATH",
              help="An engine's PAGE, ALTO, hOCR, JSONL, TSV, CTM or TXT (repeat).")  # fmt: skip
@click.option("-o", "--output", required=True, type=_PATH,
              help="The combiner file to write; - = stdout.")  # fmt: skip
@click.option("--model", default="default", show_default=True, help="Name or folder.")
@click.option("--no-lm", is_flag=True, help="Fit without the language model.")
def fit(
    ground_truth: Path, engines: tuple[str, ...], output: Path, model: str, no_lm: bool
) -> None:
    """Learn from GROUND_TRUTH how much each engine is to be believed, and how sure to be.

    Lines are matched as by `combine`. Says what the vote and the fitted judge get wrong on
    documents that were not fitted on, and keeps the vote where that is not beaten. Use the file
    with `combine --combiner FILE`, under the same engine names.
    """
    from ensemble_htr.batch import engine_argument, load_engines, merge
    from ensemble_htr.combine.model import dump_judge
    from ensemble_htr.errors import OutputError
    from ensemble_htr.files import atomic_write
    from ensemble_htr.pipeline import PipelineOptions
    from ensemble_htr.train.foreign import TRUTH, fit_engines

    found = load_engines([(TRUTH, ground_truth), *map(engine_argument, engines)])
    to_file = str(output) != "-"
    if to_file and output.is_dir():
        raise OutputError(
            f"{output}: is a folder; wanted the name of a file to write, as judge.json"
        )
    if to_file and output.exists() and any(output.samefile(f) for e in found for f in e.files):
        raise OutputError(
            f"{output}: is an input, and inputs are never overwritten; choose another output file"
        )
    with merge(found) as merged:
        for error in (error for engine in found for error in engine.broken.values()):
            raise error
        for line in merged.report():
            click.echo(line.replace(f"engine {TRUTH}", "ground truth"), err=True)
        options = PipelineOptions(model, lm=not no_lm)
        judge, report = fit_engines(merged, options, lambda text: click.echo(text, err=True))
    if to_file:
        atomic_write(output, dump_judge(judge))
    else:
        click.echo(dump_judge(judge), nl=False)
    click.echo(report, err=True)
