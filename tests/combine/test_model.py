"""The judge's file: it comes back as it was, and damage is one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemble_htr.combine.model import dump_judge, load_judge, plain_judge
from ensemble_htr.errors import AssetError


def test_a_judge_comes_back_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "j.json").write_text(dump_judge(plain_judge()))
    assert load_judge(tmp_path / "j.json") == plain_judge()


def _scored(forest: str) -> str:
    mode = f'{{"scorer": {{"arcs": {forest}, "words": {forest}, "lines": {forest}}}}}'
    return f'{{"format": "ensemble-htr-judge-2", "modes": {{"text": {mode}}}}}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"format": "other"}',
        '{"format": "ensemble-htr-judge-1", "modez": {}}',
        _scored("{}"),
        _scored('{"features": ["a"]}'),
        _scored('{"features": [], "nodes": [[0, 0, 0, 0, 0]], "roots": [0]}'),
        _scored('{"features": [], "nodes": 1e999}'),
        _scored('{"features": [], "nodes": {"a": 1}}'),
    ],  # fmt: skip
)
def test_damage_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "j.json").write_text(text)
    with pytest.raises(AssetError, match="j.json") as caught:
        load_judge(tmp_path / "j.json")
    assert "\n" not in str(caught.value)
