"""``ensemble-htr transcribe``: read images and pages with all recognizers together."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["transcribe"]

_PATH = click.Path(path_type=Path)


@click.command("transcribe")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="Folder to write into; - = stdout.")
@click.option("--format", "formats", metavar="LIST",
              help="Of page, alto, hocr, tei, pdf, txt, csv, xlsx, jsonl. "
                   "[the input's own kind of XML, and txt]")  # fmt: skip
@click.option("--alternatives", type=click.IntRange(0, 20), default=0, metavar="N",
              help="PAGE, ALTO: also the N best rivals of what was read.")  # fmt: skip
@click.option("--glyphs", is_flag=True, help="PAGE, ALTO, hOCR: a confidence for each character.")
@click.option("--model", default="default", show_default=True, help="Name or folder.")
@click.option("--recognizers", metavar="LIST", help="Only these of the model's, as crnn,gated.")
@click.option("--combiner", type=_PATH, metavar="FILE", help="Another fitted judge.")
@click.option("--no-lm", is_flag=True, help="Read without the language model.")
@click.option("--explain", metavar="LINE", help="Print how the line of this id was read.")
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes. [one a core, at most 8]")
@click.option("--shard", metavar="i/n", help="Only every n-th page, beginning with the i-th.")
@click.option("--overwrite", is_flag=True, help="Replace also text that a human confirmed.")
@click.option("--cache", type=_PATH, metavar="DIR", help="Keep cut lines here for later runs.")
def transcribe(
    inputs: tuple[Path, ...], output: Path, formats: str | None, alternatives: int, glyphs: bool,
    model: str, recognizers: str | None, combiner: Path | None, no_lm: bool, explain: str | None,
    jobs: int | None, shard: str | None, overwrite: bool, cache: Path | None,
) -> int:  # fmt: skip
    """Read INPUT: PAGE or ALTO XML with its images, images of lines, or folders of these.

    Inputs are never changed: each page's XML is copied, edited and written under the output
    folder. The same command after an interruption goes on where it stopped.
    """
    from ensemble_htr.batch import RunOptions, formats_argument, shard_argument
    from ensemble_htr.batch import transcribe as run
    from ensemble_htr.cli.main import names_argument
    from ensemble_htr.pipeline import PipelineOptions

    out = None if str(output) == "-" else output
    wanted = formats_argument(formats or ("txt" if out is None else None))
    names = names_argument("--recognizers", recognizers)
    options = PipelineOptions(model, names, combiner, lm=not no_lm, cache=cache)
    run_options = RunOptions(out, wanted, jobs, overwrite, explain, alternatives, glyphs)
    summary = run(inputs, options, run_options, shard_argument(shard))
    for text in summary.explained:
        click.echo(text)
    return summary.exit_code
