"""Greedy CTC decoding: the best symbol of every frame, repeats merged, blanks dropped."""

from __future__ import annotations

import itertools

from ensemble_htr.decode._posteriors import BLANK, checked, pixels
from ensemble_htr.types import Hypothesis, Posteriors

__all__ = ["greedy"]


def greedy(posteriors: Posteriors, source: str = "greedy") -> Hypothesis:
    """Read the best path (Graves et al. 2006, section 3.2).

    A token's log-probability is that of its best frame; its span covers the frames in which the
    path stays on it, in pixels of the line image. ``score`` is the log-probability of the path
    (a lower bound of the text's). Raises `InputError` if the posteriors hold NaN.
    """
    logp = checked(posteriors)
    path = logp.argmax(axis=1).tolist()
    peaks = logp.max(axis=1).tolist()
    tokens, logprobs, spans = [], [], []
    frame = 0
    for column, run in itertools.groupby(path):
        first, frame = frame, frame + sum(1 for _ in run)
        if column != BLANK:
            tokens.append(posteriors.alphabet[column - 1])
            logprobs.append(max(peaks[first:frame]))
            spans.append(pixels(posteriors, first, frame - 1))
    return Hypothesis(source, tuple(tokens), tuple(logprobs), tuple(spans), score=sum(peaks))
