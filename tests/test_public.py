"""The public root: what it names is there, and every module's `__all__` is true."""

from __future__ import annotations

import importlib
import pkgutil
import tomllib
from pathlib import Path

import pytest

import ensemble_htr
from ensemble_htr.errors import MissingDependencyError

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(ensemble_htr.__path__, "ensemble_htr.")
    if not module.name.endswith("__main__")
)


def test_the_root_names_what_it_has() -> None:
    assert ensemble_htr.__all__ == sorted(ensemble_htr.__all__, key=lambda n: (n[0] != "_", n))
    for name in ensemble_htr.__all__:
        assert getattr(ensemble_htr, name) is not None
    assert set(dir(ensemble_htr)) == set(ensemble_htr.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ensemble_htr.nothing


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_a_docstring_and_a_true_all(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except (ImportError, MissingDependencyError) as error:
        if "ensemble_htr" in str(error) and not isinstance(error, MissingDependencyError):
            raise
        pytest.skip(f"optional: {error}")
    assert module.__doc__ or not Path(str(module.__file__)).read_text().strip(), name
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public), f"{name}.{public}"


def test_the_version_is_stated_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["version"]["path"] == "ensemble_htr/__init__.py"
    assert ensemble_htr.__version__.count(".") == 2
