"""How a decoder that writes by itself reads the split that weights are chosen on.

    python eval/decoder.py ../shared/data [--jobs 2]

Every point is one setting of `[search]` in `model.toml`: width of the beam, weight of the language
module, bonus of a character, weight of the n-gram model beside them. Lines with a letter, profile
fr-archive, CER of the first reading. Writes eval/decoder.md.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parent))

from run import ALONE, BESIDE, commit  # noqa: E402

from ensemble_htr.files import atomic_write  # noqa: E402
from ensemble_htr.io.sources import PageSource  # noqa: E402
from ensemble_htr.metrics import Counts, edit_counts  # noqa: E402
from ensemble_htr.pipeline import Pipeline, PipelineOptions  # noqa: E402
from ensemble_htr.protocols import WritingRecognizer  # noqa: E402
from ensemble_htr.text import has_letter, profile  # noqa: E402
from ensemble_htr.train.readings import each_page, hear  # noqa: E402

HERE = Path(__file__).parent
MODEL, READER, SPLIT = "trio", "transformer", "fr19/judge"
SHIPPED: dict[str, float] = {}
POINTS: tuple[dict[str, float], ...] = (
    SHIPPED,
    ALONE,
    {"inner": 0.3},
    {"inner": 0.7},
    {"beta": 0.3},
    {"beta": 0.9},
    {"beam": 4, "n_best": 4},
    {"beam": 8, "n_best": 8},
    BESIDE,
    {"alpha": 0.5, "inner": 0.0, "beta": 1.3},  # the n-gram model in the module's place
)


def read(pipeline: Pipeline, source: PageSource) -> list[Counts]:
    """Errors of one page at every point."""
    form, heard = profile("fr-archive"), [h for h in hear(pipeline, source) if has_letter(h.truth)]
    (recognizer,) = pipeline.recognizers
    assert isinstance(recognizer, WritingRecognizer)
    found = []
    for point in POINTS:
        options = replace(pipeline.config.search, **point)  # type: ignore[arg-type]
        written = recognizer.write([h.posteriors[0] for h in heard], options, pipeline.lm)
        pairs = zip(heard, written, strict=True)
        found.append(
            Counts.sum(edit_counts(form.tokens(h.truth), form.tokens(w[0].text)) for h, w in pairs)
        )
    return found


def table(pages: list[list[Counts]], pipeline: Pipeline) -> str:
    """A row for each point."""
    rows = ["| beam | n-best | `inner` | `beta` | `alpha` | CER % |", "|---|---|---|---|---|---|"]
    for number, point in enumerate(POINTS):
        o = replace(pipeline.config.search, **point)  # type: ignore[arg-type]
        rate = Counts.sum(page[number] for page in pages).rate
        name = f"{100 * rate:.2f}" if point else f"**{100 * rate:.2f}** (as `{MODEL}` has it)"
        rows.append(f"| {o.beam} | {o.n_best} | {o.inner} | {o.beta} | {o.alpha} | {name} |")
    return "\n".join(rows)


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--jobs", default=2, show_default=True)
def main(data: Path, jobs: int) -> None:
    """Read the split at every point and write the table."""
    options = PipelineOptions(model=MODEL, recognizers=(READER,))
    pages = list(each_page(read, data / SPLIT, options, jobs))
    lines = table(pages, Pipeline.load(options))
    text = f"""# A decoder's own weights

`python eval/decoder.py DATA` on {date.today()}, commit {commit()}.
{READER}, its decoder writing alone, on {SPLIT}: lines with a letter, profile fr-archive. `inner`
weighs its language module, `beta` is the bonus of a character, `alpha` weighs the n-gram model. A
wider beam reads better and takes longer; six hypotheses are the compromise that is shipped. The
last two rows are what `readers.md` calls *{READER} + LM*, and the n-gram model in the module's
place.

{lines}
"""
    atomic_write(HERE / "decoder.md", text)
    click.echo(lines)


if __name__ == "__main__":
    main()
