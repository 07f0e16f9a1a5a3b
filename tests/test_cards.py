"""What stands beside the shipped models is of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemble_htr.assets import read_lock, sha256_file

SHELF = Path(__file__).resolve().parents[1] / "models"
PRODUCTS = sorted([*SHELF.glob("*/model.safetensors"), *SHELF.glob("*/combiner.json")])


@pytest.mark.parametrize("path", PRODUCTS, ids=lambda path: path.parent.name)
def test_scores_are_of_what_lies_beside_them(path: Path) -> None:
    """Anew: ``python eval/run.py``, then ``python eval/cards.py``."""
    scores = path.with_name("scores.md").read_text(encoding="utf-8")
    assert f"of the weights {sha256_file(path)[:16]} " in scores
    assert {"scores.md", "failures.png"} <= set(read_lock(path.parent).files)
