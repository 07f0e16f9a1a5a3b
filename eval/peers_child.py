"""Counts of other evaluators over pairs of texts, in their own environment: JSON in, JSON out."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version


def jiwer_counts(pairs: list[list[str]]) -> dict[str, list[int]]:
    import jiwer

    def split(found: object) -> list[int]:
        names = ("hits", "substitutions", "deletions", "insertions")
        return [getattr(found, name) for name in names]

    one, two = [p[0] for p in pairs], [p[1] for p in pairs]
    return {
        "jiwer, characters": split(jiwer.process_characters(one, two)),
        "jiwer, words": split(jiwer.process_words(one, two)),
    }


def torchmetrics_counts(pairs: list[list[str]]) -> dict[str, list[int]]:
    from torchmetrics.text import CharErrorRate, WordErrorRate

    found = {}
    for name, kind in (("characters", CharErrorRate), ("words", WordErrorRate)):
        metric = kind()
        metric.update([p[1] for p in pairs], [p[0] for p in pairs])
        found[f"torchmetrics, {name}"] = [int(metric.errors), int(metric.total)]
    return found


def rapidfuzz_counts(pairs: list[list[str]]) -> dict[str, list[int]]:
    from rapidfuzz.distance import Levenshtein

    return {
        "rapidfuzz": [
            sum(Levenshtein.distance(*p) for p in pairs),
            sum(len(p[0]) for p in pairs),
        ]
    }


def dinglehopper_counts(pairs: list[list[str]]) -> dict[str, list[int]]:
    from dinglehopper.character_error_rate import character_error_rate_n
    from dinglehopper.word_error_rate import word_error_rate_n, words_normalized
    from rapidfuzz.distance import Levenshtein

    rows = [character_error_rate_n(*p) for p in pairs]
    edits = [round(value * n) for value, n in rows]
    cut = [[list(words_normalized(text)) for text in pair] for pair in pairs]
    wrong = [Levenshtein.distance(*pair) for pair in cut]
    for (one, _), edited, pair in zip(cut, wrong, pairs, strict=True):
        rate, count = word_error_rate_n(*pair)  # its rate of no words is infinite
        assert count == len(one) and (not count or round(rate * count) == edited)
    return {
        "dinglehopper, characters": [sum(edits), sum(n for _, n in rows)],
        "dinglehopper, words": [sum(wrong), sum(len(one) for one, _ in cut)],
    }


def main() -> None:
    pairs = json.load(sys.stdin)
    counts = {
        **jiwer_counts(pairs),
        **rapidfuzz_counts(pairs),
        **torchmetrics_counts(pairs),
        **dinglehopper_counts(pairs),
    }
    names = ("jiwer", "rapidfuzz", "torchmetrics", "dinglehopper")  # its words: multimethod < 2
    json.dump({"counts": counts, "versions": {n: version(n) for n in names}}, sys.stdout)


if __name__ == "__main__":
    main()
