from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings

from ensemble_htr.decode import greedy
from ensemble_htr.errors import InputError
from ensemble_htr.types import Posteriors

from .oracle import all_paths, small_posteriors


@settings(max_examples=50, deadline=None)
@given(small_posteriors())
def test_greedy_reads_the_best_path(posteriors: Posteriors) -> None:
    read = greedy(posteriors)
    best = max(score for paths in all_paths(posteriors).values() for _, score in paths)
    assert read.score == pytest.approx(best, abs=1e-5)
    assert read.spans is not None and read.logprobs is not None
    edges = [edge for span in read.spans for edge in span]
    assert edges == sorted(edges) and all(0 <= e <= 4 * len(posteriors.logp) for e in edges)
    assert all(logprob <= 0 for logprob in read.logprobs)


def test_repeats_merge_and_a_blank_parts_them() -> None:
    path = [1, 1, 0, 1, 2, 2, 0]
    logp = np.full((7, 3), math.log(0.1), np.float32)
    logp[range(7), path] = math.log(0.8)
    logp[5] = np.log([0.05, 0.05, 0.9])
    read = greedy(Posteriors(logp, ("a", "b"), pixels_per_frame=4.0), "net")
    assert (read.source, read.text, read.lm) == ("net", "aab", False)
    assert read.spans == ((0, 8), (12, 16), (16, 24))
    assert read.logprobs == pytest.approx([math.log(0.8), math.log(0.8), math.log(0.9)])


def test_no_frames_read_nothing() -> None:
    read = greedy(Posteriors(np.zeros((0, 2), np.float32), ("a",)))
    assert (read.tokens, read.logprobs, read.spans, read.score) == ((), (), (), 0)


def test_nan_is_named() -> None:
    with pytest.raises(InputError, match="NaN at frame 0"):
        greedy(Posteriors(np.full((2, 2), np.nan, np.float32), ("a",)))
