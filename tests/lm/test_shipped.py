"""The shipped model is the one that its lock describes, and it knows archives."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ensemble_htr.config import from_mapping, load_toml
from ensemble_htr.lm import load, text_logprob
from ensemble_htr.lm.recipe import Recipe

SHELF = Path(__file__).resolve().parents[2] / "lm" / "fr-archive"


def test_lock_fits_product_and_recipe() -> None:
    lock = json.loads((SHELF / "lock.json").read_text(encoding="utf-8"))
    packed = (SHELF / lock["product"]["file"]).read_bytes()
    assert lock["product"]["sha256"] == hashlib.sha256(packed).hexdigest()
    assert lock["product"]["bytes"] == len(packed) <= 8_000_000
    assert from_mapping(lock["recipe"], Recipe) == load_toml(SHELF / "recipe.toml", Recipe)
    assert not any("test" in name for name in lock["data"])


@pytest.mark.slow
def test_knows_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lm = load(SHELF / "model.arpa.xz")
    for right, wrong in (
        ("Contrat de mariage", "Contrat de mariagc"),
        ("Je donne et lègue à ma femme", "Je donne et lègne à ma femme"),
        ("demeurant à Paris", "dcmeurant à Paris"),
    ):
        assert text_logprob(lm, tuple(right)) > text_logprob(lm, tuple(wrong)) + 2
