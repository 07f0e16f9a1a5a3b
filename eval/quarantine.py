"""How often readings of one line are taken for readings of two, and the other way round.

    python eval/quarantine.py ../shared/data/text-fr/novels_1840_1920.txt.xz [--pairs 2000]

Pairs of readings of made lines of French text, letters changed, dropped and added at random (one
seed), at several lengths and error rates; `align.quarantine.akin` says whether they may be of one
line. Writes `quarantine.md`: of 1,000 pairs those that are parted.
"""

from __future__ import annotations

import lzma
import random
from pathlib import Path

import click

from ensemble_htr.align.quarantine import akin

HERE = Path(__file__).parent
LENGTHS = ((20, 30), (30, 50), (50, 80))
RATES = (0.10, 0.25, 0.35)
LETTERS = "aeionrst "


class Maker:
    """Lines of a text, and readings of them."""

    def __init__(self, words: list[str], seed: int) -> None:
        self.words, self.draw = words, random.Random(seed)

    def line(self, least: int, most: int) -> str:
        at = self.draw.randrange(len(self.words) - most)
        size = self.draw.randint(least, most)
        return " ".join(self.words[at : at + most])[:size]

    def reading(self, text: str, rate: float) -> str:
        return "".join(self._read(c) if self.draw.random() < rate else c for c in text).casefold()

    def _read(self, char: str) -> str:
        other = self.draw.choice(LETTERS)
        return self.draw.choice(("", "", other, other, other, char + other))


@click.command()
@click.argument("text", type=click.Path(path_type=Path))
@click.option("--pairs", default=2000, show_default=True)
@click.option("--seed", default=5, show_default=True)
def main(text: Path, pairs: int, seed: int) -> None:
    """Count the pairs that are parted."""
    with lzma.open(text, "rt", encoding="utf-8") as stream:
        made = Maker(stream.read(5_000_000).split(), seed)
    heads = [f"{what}, {rate:.0%} errors" for what in ("one line", "two lines") for rate in RATES]
    rows = [f"| characters | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for least, most in LENGTHS:
        cells = []
        for same in (True, False):
            for rate in RATES:
                parted = 0
                for _ in range(pairs):
                    one = made.line(least, most)
                    two = one if same else made.line(least, most)
                    parted += not akin(made.reading(one, rate), made.reading(two, rate))
                cells.append(f"{1000 * parted / pairs:.1f}")
        rows.append(f"| {least} to {most} | {' | '.join(cells)} |")
    head = (
        "# Which readings are of another line\n\n"
        f"`python eval/quarantine.py {text.name} --pairs {pairs} --seed {seed}`: of 1,000 pairs of "
        "readings of one line, or of two, those that are parted.\n\n"
    )
    (HERE / "quarantine.md").write_text(head + "\n".join(rows) + "\n", encoding="utf-8")
    click.echo("\n".join(rows))


if __name__ == "__main__":
    main()
