"""The language model with KenLM, with our reader of ARPA files, from its tables: loading, queries.

    python eval/lm_speed.py [--characters 100000]

All read the shipped backward model (of order 6, as KenLM is usually built) and score the same text,
character by character as the beam asks. Times are of one core and of this machine; the ratios carry
over.
"""

from __future__ import annotations

import time

import click

from ensemble_htr import lm
from ensemble_htr.assets import resolve
from ensemble_htr.lm.loading import Backend
from ensemble_htr.text import graphemes, profile


@click.command()
@click.option("--characters", default=100_000, show_default=True)
def main(characters: int) -> None:
    """Time all readers."""
    truth = (resolve("sample", "letter") / "truth.tsv").read_text(encoding="utf-8").splitlines()
    form = profile("fr-archive")
    lines = [graphemes(form.apply(row.split("\t")[-1])) for row in truth]
    path = resolve("lm", "fr-archive-backward") / "model.arpa.xz"
    cached: Backend
    for cached in ("kenlm", "tables"):  # their copies are made once for all runs
        lm.load(path, cached)
    backends: tuple[Backend, ...] = ("kenlm", "arpa", "tables")
    found = {}
    for backend in backends:
        begun = time.perf_counter()
        model = lm.load(path, backend)
        loaded = time.perf_counter()
        total, times = 0.0, -(-characters // sum(map(len, lines)))
        for line in lines * times:
            state = model.start()
            for token in line:
                said, state = model.score(state, token)
                total += said
        asked = times * sum(map(len, lines))
        found[backend] = loaded - begun, (time.perf_counter() - loaded) / asked
        load, query = found[backend]
        click.echo(
            f"{backend}: loaded in {load:.2f} s, {1e6 * query:.2f} us a query, sum {total:.2f}"
        )
    ratios = [ours / theirs for ours, theirs in zip(found["arpa"], found["kenlm"], strict=True)]
    click.echo(
        f"our reader loads in {ratios[0]:.1f} times KenLM's time and asks in {ratios[1]:.1f}"
    )


if __name__ == "__main__":
    main()
