"""What a choice of an ensemble means in files, and what is said of a choice that means nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemble_htr.errors import ConfigError
from ensemble_htr.plan import PipelineOptions, Plan


def test_an_ensemble_of_nobody_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text("recognizers = []\n")
    with pytest.raises(ConfigError, match=r"model\.toml: recognizers names nothing; wanted one"):
        Plan.of(PipelineOptions(model=str(tmp_path)))
