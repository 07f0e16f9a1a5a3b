"""What we write as TOML is TOML, and says what was meant."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.toml import toml_value

TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
SINGLE = TEXTS | st.booleans() | st.integers() | st.floats(allow_nan=False)
VALUES = st.recursive(
    SINGLE, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
)


def back(value: Any) -> Any:
    return tomllib.loads(f"key = {toml_value(value)}\n")["key"]


@given(VALUES)
def test_it_is_read_back(value: Any) -> None:
    found = back(value)
    assert found == value and repr(found) == repr(value)  # 1 is neither 1.0 nor true


@pytest.mark.parametrize(
    "value", ["\x7f", "\x00\t\r\n\x1f\x85", '"\\', "\u2028", float("inf"), -0.0]
)
def test_what_json_and_toml_spell_apart(value: Any) -> None:
    assert repr(back([value, (value,)])) == repr([value, [value]])


def test_not_a_number_and_nothing() -> None:
    assert back(float("nan")) != back(float("nan"))
    with pytest.raises(TypeError, match="no value for None"):
        toml_value({"a": [None]})
