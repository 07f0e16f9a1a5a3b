"""``ensemble-htr combine``: merge the readings of any engines."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["combine"]

_PATH = click.Path(path_type=Path)


@click.command("combine")
@click.option("--engine", "engines", multiple=True, required=True, metavar="NAME=PATH",
              help="An engine's PAGE, ALTO, hOCR, JSONL, TSV, CTM or TXT (repeat).")  # fmt: skip
@click.option("-o", "--output", required=True, type=_PATH, help="Folder to write into; - = stdout.")
@click.option("--images", type=_PATH, metavar="DIR",
              help="Pages or line images, for our own recognizers to join in.")  # fmt: skip
@click.option("--recognizers", metavar="LIST", help="With --images: only these of the model's.")
@click.option("--format", "formats", metavar="LIST",
              help="Of page, alto, hocr, tei, pdf, txt, csv, xlsx, jsonl. "
                   "[the engines' own kind, and txt]")  # fmt: skip
@click.option("--alternatives", type=click.IntRange(0, 20), default=0, metavar="N",
              help="PAGE, ALTO: also the N best rivals of what was read.")  # fmt: skip
@click.option("--glyphs", is_flag=True, help="PAGE, ALTO, hOCR: a confidence for each character.")
@click.option("--model", default="default", show_default=True, help="Name or folder.")
@click.option("--language", default="", metavar="NAME|FOLDER",
              help="A language pack in place of the model's language.")  # fmt: skip
@click.option("--combiner", type=_PATH, metavar="FILE", help="Another fitted judge.")
@click.option("--no-lm", is_flag=True, help="Combine without language model and lists.")
@click.option("--no-lexicon", is_flag=True, help="Combine without the model's lists of names.")
@click.option("--lexicon", "lexicons", multiple=True, type=_PATH, metavar="PATH",
              help="Your own list of names or places: .txt, .csv, .tsv (repeat).")  # fmt: skip
@click.option("--explain", metavar="LINE", help="Print how the line of this id was chosen.")
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes. [1, with much to do more]")
@click.option("--shard", metavar="i/n", help="Only every n-th page, beginning with the i-th.")
@click.option("--retry-failed", is_flag=True, help="Only pages that failed in earlier runs.")
@click.option("--overwrite", is_flag=True, help="Replace also text that a human confirmed.")
def combine(
    engines: tuple[str, ...], output: Path, images: Path | None, recognizers: str | None,
    formats: str | None, alternatives: int, glyphs: bool, model: str, language: str,
    combiner: Path | None, no_lm: bool, no_lexicon: bool, lexicons: tuple[Path, ...],
    explain: str | None, jobs: int | None, shard: str | None, retry_failed: bool,
    overwrite: bool,
) -> int:  # fmt: skip
    """Merge what engines read, with a confidence for every character, word and line.

    Lines are matched by page and id, else by place, else by number (plain lines) or text. Engines
    with page XML give a copy of the first one's pages with the merged text; what is on none of
    these pages goes into combined.jsonl and combined.txt.
    """
    from ensemble_htr.batch import (
        CombineOptions,
        RunOptions,
        engine_argument,
        formats_argument,
        shard_argument,
    )
    from ensemble_htr.batch import combine as run
    from ensemble_htr.cli.main import KEPT, names_argument, when_interrupted
    from ensemble_htr.errors import UsageError
    from ensemble_htr.pipeline import PipelineOptions

    if recognizers and images is None:
        raise UsageError("--recognizers read images: say where they are with --images DIR")
    out = None if str(output) == "-" else output
    wanted = formats_argument(formats or ("txt" if out is None else None))
    names = names_argument("--recognizers", recognizers)
    options = PipelineOptions(
        model,
        names,
        combiner,
        not no_lm,
        not no_lexicon,
        lexicons,
        images is not None,
        language=language,
    )
    sources = CombineOptions(tuple(engine_argument(e) for e in engines), images)
    how = (jobs, overwrite, explain, alternatives, glyphs, retry_failed)
    with when_interrupted(lambda: KEPT if out else ""):
        summary = run(sources, options, RunOptions(out, wanted, *how), shard_argument(shard))
    for text in summary.explained:
        click.echo(text)
    return summary.exit_code
