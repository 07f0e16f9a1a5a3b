"""Forced scores: how well rival texts fit what the recognizers saw of a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ensemble_htr.combine import LinesScorer
from ensemble_htr.decode import ctc_score
from ensemble_htr.protocols import Recognizer, WritingRecognizer
from ensemble_htr.types import Posteriors

__all__ = ["lines_scorer"]

_NEVER = -1e6  # log-probability of a text that a recognizer's alphabet cannot write
Texts = Sequence[tuple[str, ...]]


def lines_scorer(
    recognizers: Sequence[Recognizer], heard: Sequence[Sequence[Posteriors]], dictated: int
) -> LinesScorer:
    """A scorer of many lines, ``heard`` by every recognizer each.

    The decoder of a recognizer that has one is asked about the ``dictated`` texts of a line that
    are likeliest by all CTC scores, all lines side by side; of the others it is taken to say what
    its encoder says, from its likeliest text downwards.
    """

    def score(asked: Mapping[int, Texts]) -> Mapping[int, Mapping[str, list[float]]]:
        own = {
            i: [[max(s, _NEVER) for s in ctc_score(p, texts)] for p in heard[i]]
            for i, texts in asked.items()
        }
        said: dict[int, dict[str, list[float]]] = {i: {} for i in asked}
        for which, recognizer in enumerate(recognizers):
            name = recognizer.name
            encoder = {i: scores[which] for i, scores in own.items()}
            if isinstance(recognizer, WritingRecognizer):
                mine = {i: heard[i][which] for i in asked}
                likely = {i: _likely(texts, own[i]) for i, texts in asked.items()}
                told = _told(recognizer, mine, asked, likely, encoder, dictated)
                for i in asked:
                    said[i][name] = told[i]
                name = f"{name}-ctc"
            for i in asked:
                said[i][name] = encoder[i]
        return said

    return score


def _likely(texts: Texts, scores: Sequence[Sequence[float]]) -> list[int]:
    """The numbers of the texts, the likeliest by all scores first."""
    total = [sum(each) for each in zip(*scores, strict=True)]
    return sorted(range(len(texts)), key=lambda k: (-total[k], texts[k]))


def _told(
    recognizer: WritingRecognizer,
    heard: Mapping[int, Posteriors],
    asked: Mapping[int, Texts],
    likely: Mapping[int, list[int]],
    encoder: Mapping[int, Sequence[float]],
    most: int,
) -> dict[int, list[float]]:
    """What the decoder says of every text of every line."""
    few = [[asked[i][k] for k in likely[i][:most]] for i in asked]
    found: dict[int, list[float]] = {}
    for i, scores in zip(asked, recognizer.dictate([heard[i] for i in asked], few), strict=True):
        said = {k: max(s, _NEVER) for k, s in zip(likely[i], scores, strict=False)}
        best = max(said, key=lambda k: (said[k], -k), default=0)
        for k in likely[i][most:]:
            said[k] = said[best] + min(0.0, encoder[i][k] - encoder[i][best])
        found[i] = [said[k] for k in range(len(asked[i]))]
    return found
