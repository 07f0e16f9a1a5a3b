"""What a fit leaves alone."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.config import from_mapping
from ensemble_htr.decode.pyctc import WordOptions
from ensemble_htr.errors import UsageError
from ensemble_htr.layout.preprocess import Preprocess
from ensemble_htr.plan import PipelineOptions
from ensemble_htr.train.fit import _table
from ensemble_htr.train.readings import each_page, hear
from ensemble_htr.types import SearchOptions

NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=5)


@given(
    st.sampled_from([SearchOptions(), SearchOptions(beam=8, alpha=0.25), Preprocess()])
    | st.builds(Preprocess, denoise=st.sampled_from(["none", "median"]), deskew=st.booleans())
    | st.builds(
        WordOptions,
        on=st.just(True),
        lm=NAMES,
        hotwords=st.lists(NAMES, max_size=3).map(tuple),
        alpha=st.floats(0, 10),
        unknown=st.floats(-50, 0),
    )
)
def test_tables_that_are_not_fitted_stay(options: object) -> None:
    kept = tomllib.loads("beta = 1\n" + _table("it", options)).get("it", {})
    assert from_mapping(kept, type(options)) == options


def test_a_model_that_cannot_be_loaded_is_told_before_workers_are_started(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        list(each_page(hear, tmp_path, PipelineOptions(model="no-such-model")))
