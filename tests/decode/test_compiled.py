"""The compiled search against the plain one: the same texts with the same scores."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba", reason="needs the extra [fast]")

from ensemble_htr import jit  # noqa: E402
from ensemble_htr.decode import BeamDecoder, BeamOptions, beam, compiled  # noqa: E402
from ensemble_htr.lm.arpa import ArpaModel, read_arpa, write_arpa  # noqa: E402
from ensemble_htr.lm.kneser_ney import estimate, vocabulary  # noqa: E402
from ensemble_htr.types import Posteriors  # noqa: E402

ALPHABET = tuple("abel .1é")
LINES = [tuple(t) for t in ("la belle", "elle a bel air", "11 . . .", "abbe leal", "la balle")]


@pytest.fixture(scope="module")
def lm() -> ArpaModel:
    file = io.BytesIO()
    write_arpa(estimate(LINES, 4, vocabulary(LINES)), file)
    return ArpaModel(read_arpa(io.BytesIO(file.getvalue()), "toy"))


def line(seed: int, frames: int, sharp: float) -> Posteriors:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(frames, 1 + len(ALPHABET))) * sharp
    logits[:, 0] += rng.choice([0.0, 3 * sharp], size=frames)  # blanks, alone and in runs
    logp = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return Posteriors(logp.astype(np.float32), ALPHABET)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    frames=st.integers(0, 60),
    sharp=st.sampled_from([0.5, 2.0, 5.0]),
    width=st.sampled_from([1, 4, 12, 300]),
    alpha=st.sampled_from([0.0, 0.6]),
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    prune=st.sampled_from([2.0, 6.0, float("inf")]),
)
def test_both_find_the_same(
    lm: ArpaModel,
    seed: int,
    frames: int,
    sharp: float,
    width: int,
    alpha: float,
    flags: tuple[bool, bool, bool],
    prune: float,
) -> None:
    end, digits, runs = flags
    options = BeamOptions(beam=width, n_best=min(width, 20), alpha=alpha, beta=0.7, prune=prune)
    options = replace(options, end=end, exempt_digits=digits, exempt_runs=runs, neutral=-0.2)
    heard = line(seed, frames, sharp)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beam, "_WARM", 1 << 60)
        plain = BeamDecoder(options, lm).decode(heard)
        patch.setattr(beam, "_WARM", 0)
        fast = BeamDecoder(options, lm).decode(heard)
    scores = [h.score for h in plain]
    assert [h.score for h in fast] == pytest.approx(scores, rel=1e-9, abs=1e-9)
    if len({round(s or 0.0, 9) for s in scores}) == len(scores):  # no ties
        assert [h.tokens for h in fast] == [h.tokens for h in plain]
        assert [h.logprobs for h in fast] == [h.logprobs for h in plain]


def test_a_numba_that_does_not_load_is_said_once_and_missed_by_nobody(
    lm: ArpaModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = [BeamDecoder(BeamOptions(), lm).decode(line(seed, 40, 2.0)) for seed in range(3)]
    monkeypatch.setattr(beam, "_WARM", 0)
    monkeypatch.setitem(sys.modules, "ensemble_htr.decode.kernel", None)  # importing it fails
    monkeypatch.delattr("ensemble_htr.decode.kernel", raising=False)
    jit.load.cache_clear()
    try:
        broken = [BeamDecoder(BeamOptions(), lm).decode(line(seed, 40, 2.0)) for seed in range(3)]
    finally:
        jit.load.cache_clear()
    assert broken == plain
    assert [record.message.count("numba does not load") for record in caplog.records] == [1]


def test_other_users_of_numba_keep_their_cache() -> None:
    import numba

    before = numba.config.CACHE_DIR
    assert compiled.kernel() is not None
    assert numba.config.CACHE_DIR == before
