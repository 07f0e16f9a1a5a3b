"""A subset of an ensemble as an ensemble of its own."""

from __future__ import annotations

import tomllib

import pytest

pytest.importorskip("safetensors")

from ensemble_htr.config import from_mapping  # noqa: E402
from ensemble_htr.decode import BeamOptions  # noqa: E402
from ensemble_htr.plan import ModelConfig, PipelineOptions, Plan  # noqa: E402
from ensemble_htr.train.folder import config_text, parts_of  # noqa: E402


@pytest.mark.parametrize("chosen", [None, ("crnn",), ("gated", "crnn"), ("transformer",)])
def test_those_who_are_left_speak_with_the_weight_of_all(chosen: tuple[str, ...] | None) -> None:
    whole = Plan.of(PipelineOptions(model="trio")).config
    config = parts_of(Plan.of(PipelineOptions(model="trio", recognizers=chosen))).config
    assert config.recognizers == (chosen or whole.recognizers)
    assert len(config.joint.nets) == len(config.recognizers)
    assert sum(config.joint.nets) == pytest.approx(sum(whole.joint.nets))
    said = dict(zip(whole.recognizers, whole.joint.nets, strict=True))
    shares = [
        net / said[name] for name, net in zip(config.recognizers, config.joint.nets, strict=True)
    ]
    assert max(shares) == pytest.approx(min(shares))


def test_what_is_written_is_read_back() -> None:
    config = ModelConfig(("a\x7f",), lm='"', beam=BeamOptions(prune=float("inf")))
    assert from_mapping(tomllib.loads(config_text(config)), ModelConfig) == config
