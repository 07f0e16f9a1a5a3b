"""What a choice of an ensemble means in files, and what is said of a choice that means nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemble_htr.errors import ConfigError, InputError, UsageError
from ensemble_htr.plan import PipelineOptions, Plan, read_model


def test_an_ensemble_of_nobody_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text("recognizers = []\n")
    with pytest.raises(ConfigError, match=r"model\.toml: recognizers names nothing; wanted one"):
        Plan.of(PipelineOptions(model=str(tmp_path)))


def test_a_single_recognizer_is_no_ensemble(tmp_path: Path) -> None:
    folder = tmp_path / "alone"
    folder.mkdir()
    with pytest.raises(InputError, match=r"model\.toml: cannot be read: No such file"):
        read_model(folder)
    (folder / "model.safetensors").touch()
    wanted = r"alone: is a single recognizer, not an ensemble.*--model default.*--recognizers alone"
    with pytest.raises(UsageError, match=wanted):
        Plan.of(PipelineOptions(model=str(folder)))
