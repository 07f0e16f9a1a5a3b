"""What a fit leaves alone."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.assets import write_lock
from ensemble_htr.config import from_mapping
from ensemble_htr.decode import BeamOptions
from ensemble_htr.decode.pyctc import WordOptions
from ensemble_htr.errors import EnsembleError, UsageError
from ensemble_htr.layout.preprocess import Preprocess
from ensemble_htr.plan import PipelineOptions
from ensemble_htr.train.fit import _table, main
from ensemble_htr.train.readings import each_page, hear
from ensemble_htr.types import SearchOptions

ENDLESS = BeamOptions(prune=float("inf"))
NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=5)


@given(
    st.sampled_from([SearchOptions(), SearchOptions(beam=8, alpha=0.25), Preprocess(), ENDLESS])
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


def test_what_cannot_be_fitted_is_told_in_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, [str(tmp_path / "none"), "--data", str(tmp_path)])
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    assert done.output.startswith("Error: ") and done.output.count("\n") == 1


@pytest.mark.parametrize("edited", [False, True])
def test_a_fit_that_fails_leaves_the_ensemble_as_it_was(
    tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: bool
) -> None:
    home = shutil.copytree(tiny_home, tmp_path / "home")
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(home))
    folder = home / "models" / "tiny"
    if edited:
        (folder / "model.toml").write_text((folder / "model.toml").read_text() + "# mine\n")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    done = CliRunner().invoke(main, [str(folder), "--data", str(tmp_path / "none")])
    assert done.exit_code == 1 and "there is no such file or folder" in done.output
    assert before == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert "lock.json" in before


def _leave(pipeline: object, source: object) -> None:
    os._exit(3)


def test_a_worker_that_ends_before_its_work_is_told(
    tiny_home: Path, small_page: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))
    folder = small_page("one").parent
    with pytest.raises(EnsembleError, match="ended too early"):
        list(each_page(_leave, folder, PipelineOptions(model="tiny", lm=False), jobs=1))


def test_weights_that_no_worker_can_load_are_told(
    tiny_home: Path, tmp_path: Path, small_page: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    home = shutil.copytree(tiny_home, tmp_path / "home")
    (home / "models" / "crnn" / "model.safetensors").write_bytes(b"none")
    write_lock(home / "models" / "crnn", ["model.safetensors"])
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(home))
    folder = small_page("one").parent
    with pytest.raises(EnsembleError, match="ended too early"):
        list(each_page(hear, folder, PipelineOptions(model="tiny", lm=False), jobs=1))
