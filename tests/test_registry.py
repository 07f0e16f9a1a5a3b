"""Names to parts: the table, the entry points, plug-ins, and clear errors."""

from __future__ import annotations

import importlib.util
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from ensemble_htr import registry
from ensemble_htr.errors import EnsembleError, UsageError

ROOT = Path(__file__).resolve().parents[1]


def _plug_in(monkeypatch: pytest.MonkeyPatch, **targets: str) -> None:
    points = tuple(EntryPoint(n, t, "ensemble_htr.recognizers") for n, t in targets.items())
    monkeypatch.setattr(registry, "_installed", lambda group: points)


def test_the_table_says_what_pyproject_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {
        group.removeprefix("ensemble_htr."): dict(points)
        for group, points in project["entry-points"].items()
    }
    assert declared == {group: table for group, table in registry.BUILTIN.items() if table}
    assert set(registry.BUILTIN) == set(registry.GROUPS)


@pytest.mark.parametrize(
    ("group", "name"), [(g, n) for g, table in registry.BUILTIN.items() for n in table]
)
def test_our_own_parts_lead_somewhere(group: registry.Group, name: str) -> None:
    module, _, attribute = registry.origin(group, name).partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    assert f"def {attribute}(" in Path(spec.origin).read_text(encoding="utf-8")


def test_a_plug_in_is_found_and_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    _plug_in(monkeypatch, mine="textwrap:dedent")
    assert registry.load("recognizers", "mine")("  a") == "a"
    assert "mine" in registry.names("recognizers") and "crnn" in registry.names("recognizers")


def test_without_installation_the_table_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    _plug_in(monkeypatch)
    assert set(registry.names("recognizers")) == set(registry.BUILTIN["recognizers"])


def test_a_plug_in_does_not_take_our_names(monkeypatch: pytest.MonkeyPatch) -> None:
    _plug_in(monkeypatch, crnn="textwrap:dedent")
    assert registry.origin("recognizers", "crnn") == registry.BUILTIN["recognizers"]["crnn"]


def test_an_unknown_name_gets_a_hint() -> None:
    with pytest.raises(UsageError, match=r"unknown recognizer 'crn'; did you mean 'crnn'\?"):
        registry.load("recognizers", "crn")
    with pytest.raises(UsageError, match="did you mean 'recognizers'"):
        registry.names("recognizer")  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["no_such_module_at_all:x", "textwrap:no_such_name"])
def test_a_broken_plug_in_is_named(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    _plug_in(monkeypatch, mine=target)
    with pytest.raises(EnsembleError, match="'mine' is registered as .* cannot be loaded"):
        registry.load("recognizers", "mine")
