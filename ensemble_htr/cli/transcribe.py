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
@click.option("--language", default="", metavar="NAME|FOLDER",
              help="A language pack in place of the model's language.")  # fmt: skip
@click.option("--combiner", type=_PATH, metavar="FILE", help="Another fitted judge.")
@click.option("--no-lm", is_flag=True, help="Read without language model and lists.")
@click.option("--no-lexicon", is_flag=True, help="Read without the model's lists of names.")
@click.option("--lexicon", "lexicons", multiple=True, type=_PATH, metavar="PATH",
              help="Your own list of names or places: .txt, .csv, .tsv (repeat).")  # fmt: skip
@click.option("--images", default="auto", show_default=True, metavar="auto|lines|pages",
              help="What images without any XML are.")  # fmt: skip
@click.option("--lines", metavar="TYPE,...", help="Only lines of these types; !TYPE leaves out.")
@click.option("--regions", metavar="TYPE,...", help="Only lines in regions of these types or ids.")
@click.option("--segmenter", default="ink", show_default=True, metavar="NAME",
              help="Who finds the lines of bare pages: ink, kraken.")  # fmt: skip
@click.option("--explain", metavar="LINE", help="Print how the line of this id was read.")
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes. [one a core, at most 8]")
@click.option("--shard", metavar="i/n", help="Only every n-th page, beginning with the i-th.")
@click.option("--retry-failed", is_flag=True, help="Only pages that failed in earlier runs.")
@click.option("--overwrite", is_flag=True, help="Replace also text that a human confirmed.")
@click.option("--cache", type=_PATH, metavar="DIR", help="Keep cut lines here for later runs.")
def transcribe(
    inputs: tuple[Path, ...], output: Path, formats: str | None, alternatives: int, glyphs: bool,
    model: str, recognizers: str | None, language: str, combiner: Path | None, no_lm: bool,
    no_lexicon: bool,
    lexicons: tuple[Path, ...], explain: str | None, images: str, lines: str | None,
    regions: str | None, segmenter: str, jobs: int | None, shard: str | None, retry_failed: bool,
    overwrite: bool, cache: Path | None,
) -> int:  # fmt: skip
    """Read INPUT: PAGE, ALTO or hOCR with its images, PDFs, images of pages or of lines, folders.

    Inputs are never changed: each page's XML is copied, edited and written under the output
    folder. The same command after an interruption goes on where it stopped.
    """
    from ensemble_htr.batch import RunOptions, formats_argument, shard_argument
    from ensemble_htr.batch import transcribe as run
    from ensemble_htr.cli.main import KEPT, names_argument, when_interrupted
    from ensemble_htr.io.select import selection_arguments
    from ensemble_htr.io.sources import images_argument
    from ensemble_htr.pipeline import PipelineOptions

    out = None if str(output) == "-" else output
    wanted = formats_argument(formats or ("txt" if out is None else None))
    names = names_argument("--recognizers", recognizers)
    select = selection_arguments(lines, regions)
    options = PipelineOptions(
        model, names, combiner, not no_lm, not no_lexicon, lexicons,
        cache=cache, select=select, segmenter=segmenter, language=language,
    )  # fmt: skip
    how = (jobs, overwrite, explain, alternatives, glyphs, retry_failed)
    run_options = RunOptions(out, wanted, *how)
    part = shard_argument(shard)
    with when_interrupted(lambda: KEPT if out else ""):
        summary = run(inputs, options, run_options, part, images_argument(images))
    for text in summary.explained:
        click.echo(text)
    return summary.exit_code
