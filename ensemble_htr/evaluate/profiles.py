"""Profiles by name or by file: what a user writes down in TOML becomes a `Profile`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ensemble_htr.config import from_mapping, load_toml, to_mapping
from ensemble_htr.errors import ConfigError, did_you_mean
from ensemble_htr.text import PROFILES, RULES, Profile, Rules, make_profile, profile

__all__ = ["find_profile"]

_MOST = 1 << 16  # bytes of a profile's file


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    description: str = ""
    base: str = "nfc"  # the profile whose rules hold where ``rules`` says nothing
    rules: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def find_profile(name: str) -> Profile:
    """A profile of `ensemble_htr.text` by its name, or the one that a TOML file describes.

    The file has ``name``, ``base`` (a profile to begin with; else ``nfc``), ``description`` and a
    table ``[rules]`` with fields of `ensemble_htr.text.Rules`. Raises `UsageError` for a name that
    nobody has, `ConfigError` for a file that is not as said, `InputError` if it cannot be read.
    """
    path = Path(name)
    if name in PROFILES or path.suffix.lower() != ".toml":
        return profile(name)
    if path.is_file() and path.stat().st_size > _MOST:
        raise ConfigError(f"{path}: too large for a profile ({path.stat().st_size} bytes)")
    found = load_toml(path, _File)
    if found.base not in RULES:
        raise ConfigError(f"{path}: unknown base '{found.base}'{did_you_mean(found.base, RULES)}")
    if found.name in PROFILES or not found.name.strip():
        raise ConfigError(f"{path}: name '{found.name}' is taken; give the profile one of its own")
    merged = {**to_mapping(RULES[found.base][1]), **found.rules}
    rules = from_mapping(merged, Rules, f"{path}: rules")
    return make_profile(found.name, found.description or _described(found.base, rules), rules)


def _described(base: str, rules: Rules) -> str:
    before = RULES[base][1]
    changes = [
        f"{f.name} = {getattr(rules, f.name)}"
        for f in dataclasses.fields(Rules)
        if getattr(rules, f.name) != getattr(before, f.name)
    ]
    return f"as {base}" + (", but " + ", ".join(changes) if changes else "")
