"""The speed of lexicons: build time, size, and lookups among generated names.

    python eval/lexicons.py --list surnames.txt [--entries 1000000] [--asked 2000]

Names are generated from the letter trigrams of a real list, so that segments are as unevenly
frequent as real ones. Asked are entries as they are and with two letters changed, each once.
"""

from __future__ import annotations

import random
import resource
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import click
import numpy as np

from ensemble_htr.lexicon import Lexicon, NameList, build, keys, read_entries


def generated(names: list[str], wanted: int, rng: random.Random) -> dict[str, float]:
    """So many distinct names as a trigram model of ``names`` writes them."""
    after: dict[str, Counter[str]] = defaultdict(Counter)
    for name in names:
        text = f"^^{keys(name)[0]}$"
        for i in range(2, len(text)):
            after[text[i - 2 : i]][text[i]] += 1
    choices = {k: (list(c), list(np.cumsum(list(c.values())))) for k, c in after.items()}
    found: dict[str, float] = {}
    while len(found) < wanted:
        text = "^^"
        while not text.endswith("$") and len(text) < 24:
            letters, heap = choices[text[-2:]]
            text += rng.choices(letters, cum_weights=heap)[0]
        if len(text) > 6:
            found[text[2:].rstrip("$").capitalize()] = float(rng.randint(1, 100))
    return found


@click.command()
@click.option("--list", "path", required=True, type=click.Path(path_type=Path))
@click.option("--entries", default=1_000_000, show_default=True)
@click.option("--asked", default=2_000, show_default=True)
def main(path: Path, entries: int, asked: int) -> None:
    """Build, ask, report."""
    rng = random.Random(1)
    names = generated(list(read_entries(path)), entries, rng)
    words = rng.sample(sorted(names), asked)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "names.lex"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.perf_counter()
        count = build(names, "names", out)
        took = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        click.echo(
            f"{entries} entries, {count} keys: built in {took:.1f} s, "
            f"{out.stat().st_size / 1e6:.0f} MB on disk, "
            f"peak of memory {peak / 1024:.0f} MiB (before: {before / 1024:.0f})"
        )
        del names
        begun = time.perf_counter()
        lexicon = Lexicon([NameList.load(out)])
        click.echo(f"loaded in {1000 * (time.perf_counter() - begun):.0f} ms")
        changed = [_changed(word, rng) for word in words]
        for what, texts in (("as they are", words), ("two letters changed", changed)):
            times = []
            for word in texts:
                begun = time.perf_counter()
                lexicon.lookup(word)
                times.append(1000 * (time.perf_counter() - begun))
            p = np.percentile(times, [50, 95, 99])
            click.echo(
                f"{what}: {np.mean(times):.2f} ms a lookup "
                f"(median {p[0]:.2f}, 95 % {p[1]:.2f}, 99 % {p[2]:.2f})"
            )


def _changed(word: str, rng: random.Random) -> str:
    letters = list(word)
    for place in rng.sample(range(len(letters)), 2):
        letters[place] = rng.choice("aeinrstu")
    return "".join(letters)


if __name__ == "__main__":
    main()
