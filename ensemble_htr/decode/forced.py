"""Forced scores and alignments: how probable is a *given* text under CTC posteriors, and where.

A text of L tokens becomes a chain of S = 2L + 1 states: blank, token 1, blank, token 2, ..., blank
(Graves et al. 2006, section 4.1). In every frame the chain is stayed in, stepped by one, or stepped
by two where that skips a blank between two different tokens. Summing over all walks gives the
text's probability (`ctc_score`); the best single walk gives its place in the image (`ctc_align`).
All texts of a line walk side by side in one array of shape ``(2 + S, texts)``, whose first two
rows are padding that stays empty: so "the state before" is a slice and never a special case. Where
numba is installed, `decode.forced_kernel` does the sums, one text after the other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ensemble_htr import jit
from ensemble_htr.decode._posteriors import BLANK, Span, checked, columns_of, pixels
from ensemble_htr.errors import InputError
from ensemble_htr.types import Posteriors

__all__ = ["Stay", "ctc_align", "ctc_score", "viterbi"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# Below exp(-600) a probability comes near the smallest double (exp(-708)), where sums of plain
# probabilities lose mass. What can be lost is less than 3 * frames * states * exp(-708), since the
# walks onward from any state sum to at most 1: nothing beside exp(-600).
_LOG_TINY = -600.0

_IMPOSSIBLE = -1e4  # stands for -inf where a best walk must exist all the same


class Stay(NamedTuple):
    """The frames in which the best walk stays on one token, and the token's best log-probability
    among them."""

    first: int
    last: int  # included
    peak: float


def ctc_score(posteriors: Posteriors, texts: Sequence[Sequence[str]]) -> list[float]:
    """Natural-log CTC probability of each text (a sequence of tokens): exact, batched.

    ``-inf`` where a token is not in the alphabet or the line has too few frames for the text.
    The sum runs over plain float64 probabilities; the rare text less probable than exp(-600) is
    summed again in the log domain. Raises `InputError` if the posteriors hold NaN.
    """
    logp = checked(posteriors)
    scores = [-math.inf] * len(texts)
    columns: dict[int, list[int]] = {}  # text -> columns, of the texts that can be written
    for i, text in enumerate(texts):
        found = columns_of(posteriors, text)
        if found is not None and _frames_needed(found) <= len(logp):
            columns[i] = found
    forward = _compiled if jit.available() else _forward
    sums = forward(np.exp(logp), list(columns.values()))
    for i, log_sum in zip(columns, sums, strict=True):
        scores[i] = log_sum if log_sum > _LOG_TINY else _forward_log(logp, columns[i])
    return [min(score, 0.0) for score in scores]


def ctc_align(
    posteriors: Posteriors, tokens: Sequence[str]
) -> tuple[tuple[float, ...], tuple[Span, ...]]:
    """Log-probability and pixel span of each token on the best CTC walk through ``tokens``.

    A token's log-probability is that of its best frame (the peak, as nets trained with CTC place
    a token in one or two frames and shrug elsewhere); its span ``(start, end)`` covers the frames
    where the walk stays on it, in pixels of the line image. Spans are in reading order and do not
    overlap. Raises `InputError` if the text cannot be written with these posteriors, or for NaN.
    """
    logp = checked(posteriors)
    columns = columns_of(posteriors, tokens)
    if columns is None:
        unknown = sorted(set(tokens) - set(posteriors.alphabet))
        raise InputError(
            f"cannot align a text with {', '.join(map(repr, unknown))}: not in the recognizer's "
            f"alphabet of {len(posteriors.alphabet)} symbols; drop or replace it first"
        )
    if _frames_needed(columns) > len(logp):
        raise InputError(
            f"cannot align {len(tokens)} tokens to {len(logp)} frames: CTC needs "
            f"{_frames_needed(columns)}; the line image is too narrow for this text"
        )
    (stays,) = viterbi(logp, [columns])
    spans = tuple(pixels(posteriors, stay.first, stay.last) for stay in stays)
    return tuple(stay.peak for stay in stays), spans


def viterbi(logp: Floats, texts: Sequence[Sequence[int]]) -> list[list[Stay]]:
    """The best walk of each text (columns of ``logp (T, C)``) as one `Stay` a token.

    Every text must fit into the T frames. An impossible symbol counts as exp(-10000), so that
    there always is a walk.
    """
    if not len(logp) or not texts:
        return [[] for _ in texts]
    labels, skip = _chains(texts)
    emission = np.maximum(logp, _IMPOSSIBLE)[:, labels]  # (T, S, texts)
    barrier = np.where(skip, 0.0, -np.inf)
    best = np.empty((len(logp), 2 + len(labels), len(texts)))
    best[0] = best[:, :2] = -np.inf
    best[0, 2:4] = emission[0, :2]
    step = np.empty(labels.shape)
    for frame in range(1, len(logp)):
        before = best[frame - 1]
        np.add(before[:-2], barrier, out=step)
        np.maximum(step, before[1:-1], out=step)
        np.maximum(step, before[2:], out=step)
        np.add(step, emission[frame], out=best[frame, 2:])
    return [
        _walk_back(best[:, :, i], emission[:, :, i], barrier[:, i].tolist(), len(text))
        for i, text in enumerate(texts)
    ]


def _walk_back(best: Floats, emission: Floats, barrier: list[float], length: int) -> list[Stay]:
    """Follow the maxima of ``best (T, 2 + S)`` backwards from the end of the text.

    States are counted without the padding: odd ones are tokens, even ones blanks.
    """
    value, emitted = best.item, emission.item
    frame, state = len(best) - 1, 2 * length
    if length and value(frame, state + 1) >= value(frame, state + 2):
        state -= 1
    stays: list[Stay] = []  # last token first
    entered = -1  # the state of stays[-1]
    while True:
        if state % 2 and state == entered:
            _, last, peak = stays[-1]
            stays[-1] = Stay(frame, last, max(peak, emitted(frame, state)))
        elif state % 2:
            stays.append(Stay(frame, frame, emitted(frame, state)))
            entered = state
        if frame == 0:
            return stays[::-1]
        frame -= 1
        stay, step = value(frame, state + 2), value(frame, state + 1)
        jump = value(frame, state) + barrier[state]
        if jump > stay and jump > step:
            state -= 2
        elif step > stay:
            state -= 1


def _chains(texts: Sequence[Sequence[int]]) -> tuple[Ints, NDArray[np.bool_]]:
    """The column that each state emits, and whether it may be reached by skipping the blank
    before it: both ``(S, texts)``. States beyond a shorter text's end are never read."""
    labels = np.full((1 + 2 * max(map(len, texts)), len(texts)), BLANK, dtype=np.intp)
    for i, text in enumerate(texts):
        labels[1 : 2 * len(text) : 2, i] = text
    skip = np.zeros(labels.shape, dtype=np.bool_)
    skip[3::2] = labels[3::2] != labels[1:-2:2]
    return labels, skip


def _compiled(prob: Floats, texts: Sequence[Sequence[int]]) -> list[float]:
    """As `_forward`."""
    kernel = jit.load("ensemble_htr.decode.forced_kernel")
    if kernel is None or not len(prob) or not texts:
        return _forward(prob, texts)
    start = np.cumsum([0, *map(len, texts)])
    codes = np.fromiter(itertools.chain.from_iterable(texts), np.int64, start[-1])
    return [_log(total) for total in kernel.forward(prob, codes, start).tolist()]


def _log(total: float) -> float:
    return math.log(total) if total > 0 else -math.inf


def _forward(prob: Floats, texts: Sequence[Sequence[int]]) -> list[float]:
    """Log of the summed probability of all walks of each text; ``prob`` is ``(T, C)``."""
    if not len(prob) or not texts:
        return [0.0 for _ in texts]  # only the empty text fits into no frame, and it is certain
    labels, skip = _chains(texts)
    emission = prob[:, labels]  # (T, S, texts)
    jumps = skip.astype(np.float64)
    alpha = np.zeros((2 + len(labels), len(texts)))
    alpha[2:4] = emission[0, :2]
    two_before, one_before, here = alpha[:-2], alpha[1:-1], alpha[2:]
    arriving = np.empty(labels.shape)
    for emitted in emission[1:]:
        np.multiply(two_before, jumps, out=arriving)
        arriving += one_before
        here += arriving
        here *= emitted
    ends = [alpha[2 * len(text) + 1 : 2 * len(text) + 3, i].sum() for i, text in enumerate(texts)]
    return [_log(total) for total in ends]


def _forward_log(logp: Floats, text: Sequence[int]) -> float:
    """`_forward` for one text in the log domain: slower, and blind to no probability."""
    labels, skip = _chains([text])
    emission = logp[:, labels[:, 0]]  # (T, S)
    barrier = np.where(skip[:, 0], 0.0, -np.inf)
    alpha = np.full(2 + len(labels), -np.inf)
    alpha[2:4] = emission[0, :2]
    for emitted in emission[1:]:
        arriving = np.logaddexp(alpha[:-2] + barrier, alpha[1:-1])
        alpha[2:] = np.logaddexp(alpha[2:], arriving) + emitted
    return float(np.logaddexp(alpha[2 * len(text) + 2], alpha[2 * len(text) + 1]))


def _frames_needed(text: Sequence[int]) -> int:
    """CTC needs a frame for each token and a blank between two equal neighbours."""
    return len(text) + sum(a == b for a, b in itertools.pairwise(text))
