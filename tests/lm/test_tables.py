"""The arrays of a model in the cache: the same model, or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ensemble_htr.lm import load
from ensemble_htr.lm.arpa import write_arpa
from ensemble_htr.lm.kneser_ney import estimate, vocabulary
from ensemble_htr.lm.loading import text_logprob
from ensemble_htr.lm.tables import kept_model
from ensemble_htr.protocols import TabularLanguageModel

LINES = [tuple(t) for t in ("la belle", "elle a bel air", "le 11 mai", "la balle")]


@pytest.fixture
def arpa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "toy.arpa"
    with path.open("wb") as file:
        write_arpa(estimate(LINES, 3, vocabulary(LINES)), file)
    return path


def test_what_was_kept_is_the_model(arpa: Path) -> None:
    assert kept_model(arpa) is None
    first, again, plain = load(arpa, "tables"), load(arpa, "tables"), load(arpa, "arpa")
    assert kept_model(arpa) is not None
    for text in ("la belle elle", "zut 11", ""):
        wanted = text_logprob(plain, tuple(text))
        assert text_logprob(first, tuple(text)) == text_logprob(again, tuple(text)) == wanted
    assert isinstance(again, TabularLanguageModel) and again.tables.start == plain.start()


@pytest.mark.parametrize("damage", ["cut", "empty", "pickle", "codes", "short"])
def test_a_damaged_copy_is_made_again(arpa: Path, tmp_path: Path, damage: str) -> None:
    load(arpa, "tables")
    (copy,) = (tmp_path / "cache").rglob("*.npz")
    with np.load(copy) as file:
        arrays = dict(file)
    if damage == "cut":
        copy.write_bytes(copy.read_bytes()[:-30])
    elif damage == "empty":
        copy.write_bytes(b"")
    else:
        if damage == "pickle":
            arrays["token"] = np.array([None] * len(arrays["token"]), object)
        elif damage == "codes":
            arrays["suffix"] = arrays["suffix"] + 1_000_000
        else:
            arrays["bow"] = arrays["bow"][:-1]
        np.savez(copy, **arrays)
    assert kept_model(arpa) is None
    assert text_logprob(load(arpa, "tables"), tuple("la balle")) < 0
    assert kept_model(arpa) is not None


def test_no_cache_no_copy(arpa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert text_logprob(load(arpa, "tables"), tuple("la balle")) < 0
