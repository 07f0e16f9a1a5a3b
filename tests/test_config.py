"""Files of settings: what is wrong with one is said in a line that names it; none is endless."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ensemble_htr.config import from_mapping, load_toml
from ensemble_htr.errors import ConfigError, InputError
from ensemble_htr.files import MAX_BYTES


@dataclass(frozen=True, slots=True)
class _Settings:
    rate: float = 1.0
    steps: int = 1
    name: str = ""
    rest: dict[str, Any] = field(default_factory=dict)


@pytest.mark.parametrize(
    "text",
    [
        f"steps = {'9' * 5000}",
        f"steps = 0x{'f' * 5000}",
        f"rate = 0x{'f' * 5000}",
        f"name = 0x{'f' * 5000}",
        f"[rest]\nodd = 0x{'f' * 5000}",
        f"rest = {'[' * 5000}",
        "name = 'caf\udce9'",
    ],
)
def test_bad_values_are_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError) as caught:
        load_toml(path, _Settings)
    assert str(caught.value).startswith(f"{path}: ") and len(str(caught.value)) < 300


def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    with pytest.raises(InputError, match=r"settings\.toml: cannot be read: No such file"):
        load_toml(path, _Settings)
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(InputError, match="cannot be read: it is larger than 4 MiB"):
        load_toml(path, _Settings)
    path.unlink()
    os.mkfifo(path)  # nobody writes: opening it would wait for ever
    with pytest.raises(InputError, match="cannot be read: no regular file"):
        load_toml(path, _Settings)


def test_whole_numbers_are_numbers() -> None:
    assert from_mapping({"rate": 3, "steps": 2**63}, _Settings).rate == 3.0
    with pytest.raises(ConfigError, match="rate: the number is too large"):
        from_mapping({"rate": 10**400}, _Settings)
