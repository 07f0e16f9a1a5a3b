"""How often 95 % intervals hold the truth: made corpora of documents, several methods.

    python eval/intervals.py [--rounds 2000]

A document's size is log-normal, its error rate logit-normal round 10 % (independent of the size,
or with a correlation of 0.4 either way), its errors beta-binomial. The truth is the rate of two
million documents. Archives' documents differ in size as much as the uneven ones (the 26 of
fr19/test-unseen: a standard deviation of 1.3 in logarithms). Prints the table of `intervals.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from ensemble_htr.metrics import (
    Estimate,
    bootstrap_difference,
    bootstrap_rate,
    difference_interval,
    rate_interval,
)

HERE = Path(__file__).parent
Counts = NDArray[np.int64]
CORPORA = {  # spread of log sizes, of logit rates, correlation of both
    "even": (0.5, 0.4, 0.0),
    "uneven": (1.2, 0.6, 0.0),
    "uneven, large ones easy": (1.2, 0.6, -0.4),
    "uneven, large ones hard": (1.2, 0.6, 0.4),
}


def corpus(
    rng: np.random.Generator, documents: int, kind: str, gain: float = 0.0
) -> tuple[Counts, Counts, Counts]:
    """Sizes and errors of documents under two systems, the second ``gain`` better in logits."""
    size, rate, correlation = CORPORA[kind]
    z = rng.normal(size=(documents, 3))
    sizes = np.maximum(50, np.exp(7 + size * z[:, 0])).astype(np.int64)
    own = correlation * z[:, 0] + np.sqrt(1 - correlation**2) * z[:, 1]
    logits = np.log(1 / 9) + rate * own
    errors = []
    for shift in (0.0, -gain + 0.3 * rate * z[:, 2]):
        mean = 1 / (1 + np.exp(-(logits + shift)))
        errors.append(rng.binomial(sizes, rng.beta(60 * mean, 60 * (1 - mean))))
    return sizes, errors[0], errors[1]


def truths(kind: str, gain: float) -> tuple[float, float]:
    sizes, one, two = corpus(np.random.default_rng(1), 2_000_000, kind, gain)
    return float(one.sum() / sizes.sum()), float((one.sum() - two.sum()) / sizes.sum())


def coverage(documents: int, kind: str, rounds: int) -> dict[str, tuple[float, float]]:
    """Share of intervals that hold the truth and their median width, by method."""
    rate, difference = truths(kind, 0.3)
    methods: dict[str, tuple[float, Callable[[Counts, Counts, Counts], Estimate]]] = {
        "rate: ours": (rate, lambda n, x, y: rate_interval(x, n)),
        "rate: bootstrap": (rate, lambda n, x, y: bootstrap_rate(x, n, draws=500)),
        "difference: ours": (difference, lambda n, x, y: difference_interval(x, n, y, n)),
        "difference: bootstrap": (
            difference,
            lambda n, x, y: bootstrap_difference(x, y, n, draws=500),
        ),
    }
    held: dict[str, list[tuple[bool, float]]] = {name: [] for name in methods}
    rng = np.random.default_rng(documents)
    for _ in range(rounds):
        counts = corpus(rng, documents, kind, 0.3)
        for name, (truth, method) in methods.items():
            found = method(*counts)
            held[name].append((found.low <= truth <= found.high, found.high - found.low))
    return {
        name: (float(np.mean([h for h, _ in rows])), float(np.median([w for _, w in rows])))
        for name, rows in held.items()
    }


@click.command()
@click.option("--rounds", default=2000, show_default=True)
def main(rounds: int) -> None:
    """Simulate, print and write the table."""
    names = ["rate: ours", "rate: bootstrap", "difference: ours", "difference: bootstrap"]
    rows = [
        "| documents | corpus | " + " | ".join(names) + " |",
        "|---|---|" + "---|" * len(names),
    ]
    for documents in (40, 15, 6):
        for kind in CORPORA:
            found = coverage(documents, kind, rounds)
            cells = [f"{100 * found[n][0]:.1f} ({100 * found[n][1]:.1f})" for n in names]
            rows.append(f"| {documents} | {kind} | " + " | ".join(cells) + " |")
            click.echo(rows[-1])
    text = f"""# How often 95 % intervals hold the truth

`python eval/intervals.py --rounds {rounds}`. Per cent of intervals that hold the true rate (or the
true difference of two systems), in brackets their median width in points. Ours is
`ensemble_htr/metrics/intervals.py`; the bootstrap draws whole documents and takes percentiles.

{chr(10).join(rows)}

With documents as different as archives', the bootstrap's intervals are too short with forty
documents and far too short with six. Where large documents are harder than small ones, a sample
without its large one says little, and no method that sees only the sample makes that good.
"""
    (HERE / "intervals.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
