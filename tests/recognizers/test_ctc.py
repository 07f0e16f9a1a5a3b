"""A trained network as a recognizer: alone as in company, strict about its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra [recognize]")
pytest.importorskip("cv2")

from ensemble_htr.decode import BeamDecoder, BeamOptions, ctc_score, greedy  # noqa: E402
from ensemble_htr.errors import AssetError, InputError  # noqa: E402
from ensemble_htr.protocols import PosteriorRecognizer, ScoringRecognizer  # noqa: E402
from ensemble_htr.recognizers.ctc import CtcRecognizer, padded_width  # noqa: E402
from ensemble_htr.recognizers.inputs import scale_to_height  # noqa: E402
from ensemble_htr.recognizers.weights import load_weights, save_weights  # noqa: E402
from ensemble_htr.types import Line  # noqa: E402


def recognizer(home: Path, name: str = "crnn") -> CtcRecognizer:
    decoder = BeamDecoder(BeamOptions(alpha=0.0), None, name)
    path = home / "models" / name / "model.safetensors"
    return CtcRecognizer(name, path, decoder=decoder, scorer=ctc_score, precision="fp32")


def line(width: int, seed: int, height: int = 48) -> Line:
    rng = np.random.default_rng(seed)
    image = (rng.random((height, width)) ** 8 * 255).astype(np.uint8)
    return Line(id=f"{width}-{seed}", image=image)


@settings(max_examples=15, deadline=None)
@given(widths=st.lists(st.integers(1, 700), min_size=1, max_size=10), seed=st.integers(0, 9))
def test_a_line_alone_and_in_company_reads_the_same(
    tiny_home: Path, widths: list[int], seed: int
) -> None:
    engine = recognizer(tiny_home)
    lines = [line(w, seed + i) for i, w in enumerate(widths)]
    together = engine.posteriors(lines)
    for one, with_others in zip(lines, together, strict=True):
        (alone,) = engine.posteriors([one])
        np.testing.assert_allclose(alone.logp, with_others.logp, atol=1e-4)
        assert greedy(alone).text == greedy(with_others).text


def test_posteriors_are_probabilities_of_the_right_length(tiny_home: Path) -> None:
    engine = recognizer(tiny_home)
    assert isinstance(engine, PosteriorRecognizer) and isinstance(engine, ScoringRecognizer)
    for width, height in ((1, 48), (400, 48), (333, 96)):
        (p,) = engine.posteriors([line(width, 1, height)])
        np.testing.assert_allclose(np.exp(p.logp).sum(1), 1.0, atol=1e-4)
        assert p.logp.shape[0] * p.pixels_per_frame == pytest.approx(width, abs=4 * height / 48)


@pytest.mark.parametrize("stretch", [0.8, 1.2, 2.0])
def test_a_stretched_line_is_a_wider_line(tiny_home: Path, stretch: float) -> None:
    """What a network with ``stretch`` hears is what one without hears of the widened image."""
    engine = recognizer(tiny_home)
    plain = line(320, 3)
    assert plain.image is not None
    wide = scale_to_height(plain.image, 48, stretch)
    assert wide.shape == (48, round(320 * stretch))
    (wanted,) = engine.posteriors([Line(id="wide", image=wide)])
    path = tiny_home / "models" / "crnn" / "model.safetensors"
    known = load_weights(path)
    save_weights(
        tiny_home / "stretched.safetensors", known.tensors, architecture=known.architecture,
        network={**known.network, "stretch": stretch}, alphabet=known.alphabet,
        profile=known.profile, facts=known.facts,
    )  # fmt: skip
    stretched = CtcRecognizer(
        "crnn", tiny_home / "stretched.safetensors", decoder=engine.decoder, scorer=ctc_score,
        precision="fp32",
    )  # fmt: skip
    (found,) = stretched.posteriors([plain])
    np.testing.assert_allclose(found.logp, wanted.logp, atol=1e-5)
    assert found.logp.shape[0] * found.pixels_per_frame == pytest.approx(320, abs=4)  # its own px


def test_forced_scores_agree_with_what_was_read(tiny_home: Path) -> None:
    engine = recognizer(tiny_home)
    lines = [line(200, 1), line(90, 2)]
    read = engine.read(lines, 3)
    scores = engine.score(lines, [[h.text for h in n_best] for n_best in read])
    for n_best, scored in zip(read, scores, strict=True):
        assert scored == sorted(scored, reverse=True)
        for h, score in zip(n_best, scored, strict=True):  # a pruned beam loses some paths
            assert h.score is not None and h.score <= score + 1e-6


@given(st.integers(1, 5000))
def test_padding_is_enough_and_not_too_much(width: int) -> None:
    padded = padded_width(width)
    assert width <= padded <= max(16, width * 1.13 + 16) and padded % 16 == 0


def test_a_line_without_an_image_is_one_clear_line(tiny_home: Path) -> None:
    with pytest.raises(InputError, match="line x: has no image"):
        recognizer(tiny_home).posteriors([Line(id="x")])


def test_weights_of_another_shape_are_refused(tiny_home: Path, tmp_path: Path) -> None:
    weights = load_weights(tiny_home / "models" / "crnn" / "model.safetensors")
    tensors = dict(weights.tensors)
    tensors["head.bias"] = torch.zeros(3)
    (tmp_path / "models" / "crnn").mkdir(parents=True)
    save_weights(
        tmp_path / "models" / "crnn" / "model.safetensors", tensors,
        architecture="crnn", network=weights.network, alphabet=weights.alphabet,
        profile=weights.profile, facts={},
    )  # fmt: skip
    with pytest.raises(AssetError, match="do not fit a crnn"):
        recognizer(tmp_path)
