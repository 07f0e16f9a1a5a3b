"""``ensemble-htr finetune``: the ensemble learns a user's own hand."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["finetune"]

_PLACE = click.Path(path_type=Path)
_AGAIN = "the same command goes on"


@click.command("finetune")
@click.argument("folder", type=_PLACE)
@click.option("-o", "--output", required=True, type=_PLACE, help="Folder of the new model.")
@click.option("--model", default="default", show_default=True, help="Name or folder to begin from.")
@click.option("--recognizers", metavar="LIST", help="Only these of the model's learn.")
@click.option("--language", default="", metavar="NAME|FOLDER",
              help="A language pack in place of the model's language.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(1, 1000),
              help="At most so many. [8 to 30, fewer with more lines]")  # fmt: skip
def finetune(
    folder: Path, output: Path, model: str, recognizers: str | None, language: str,
    epochs: int | None,
) -> None:  # fmt: skip
    """Adapt a whole ensemble to the transcribed lines in FOLDER: 20 to 2,000 of them.

    FOLDER holds PAGE or ALTO with images, or images of lines with .gt.txt. Recognizers, language
    model, lexicon and judge learn; a part that reads the lines held back no better stays as it was.
    Interrupt it as you like: the same command goes on. Then: transcribe --model ./NEWMODEL.
    """
    from ensemble_htr.cli.main import names_argument, when_interrupted
    from ensemble_htr.cli.needs import needs
    from ensemble_htr.pipeline import PipelineOptions

    with needs("recognize", "tuning a model"):
        from ensemble_htr.train.finetune import WORK, TuneOptions
        from ensemble_htr.train.finetune import finetune as run

    only = names_argument("--recognizers", recognizers)
    options = PipelineOptions(model, language=language)
    with when_interrupted(lambda: _AGAIN if (output / WORK).is_dir() else ""):
        outcome = run(folder, output, options, TuneOptions(epochs=epochs or 0), only)
    click.echo(outcome.table())
    click.echo(output)
