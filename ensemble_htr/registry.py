"""Names to parts: recognizers, segmenters, combiners and formats come in through entry points.

Our own parts use the same doors as anybody's plug-in. When the package runs from a checkout that
was never installed there are no entry points; then the table below stands in for them (a test
compares it with ``pyproject.toml``). A plug-in may not silently take the name of a built-in part.
"""

from __future__ import annotations

import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, get_args

from ensemble_htr.errors import EnsembleError, UsageError, did_you_mean

__all__ = ["BUILTIN", "GROUPS", "Group", "load", "names", "origin"]

Group = Literal["recognizers", "segmenters", "combiners", "formats"]
GROUPS: tuple[str, ...] = get_args(Group)

BUILTIN: dict[str, dict[str, str]] = {
    "recognizers": {
        "crnn": "ensemble_htr.recognizers.crnn:build",
        "gated": "ensemble_htr.recognizers.gated:build",
        "onnx": "ensemble_htr.recognizers.onnx:build",
        "transformer": "ensemble_htr.recognizers.transformer:build",
    },
    "segmenters": {
        "ink": "ensemble_htr.layout.segmenter:build",
        "kraken": "ensemble_htr.layout.kraken_segmenter:build",
    },
    "combiners": {},
    "formats": {
        "alto": "ensemble_htr.io.write:alto",
        "csv": "ensemble_htr.io.write:csv",
        "hocr": "ensemble_htr.io.write:hocr",
        "jsonl": "ensemble_htr.io.write:jsonl",
        "page": "ensemble_htr.io.write:page",
        "pdf": "ensemble_htr.io.write:pdf",
        "tei": "ensemble_htr.io.write:tei",
        "txt": "ensemble_htr.io.write:txt",
        "xlsx": "ensemble_htr.io.write:xlsx",
    },
}


def load(group: Group, name: str) -> Any:
    """Import and return the object registered as ``name``.

    Raises `UsageError` for a name that nobody registered (with the choices), and `EnsembleError`
    if a plug-in is registered but cannot be imported. Our own `MissingDependencyError` passes.
    """
    table = _table(group)
    if name not in table:
        raise UsageError(f"unknown {group[:-1]} '{name}'{did_you_mean(name, table)}")
    target = table[name]
    try:
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)
    except EnsembleError:
        raise
    except (ImportError, AttributeError) as error:
        raise EnsembleError(
            f"{group[:-1]} '{name}' is registered as {target} but cannot be loaded: {error}"
        ) from error


def names(group: Group) -> tuple[str, ...]:
    """The names that `load` knows, sorted."""
    return tuple(sorted(_table(group)))


def origin(group: Group, name: str) -> str:
    """Where a name leads, as ``module:attribute`` ('' for an unknown name)."""
    return _table(group).get(name, "")


def _table(group: Group) -> dict[str, str]:
    if group not in GROUPS:
        raise UsageError(f"unknown group of parts '{group}'{did_you_mean(group, GROUPS)}")
    table = {entry.name: entry.value for entry in _installed(f"ensemble_htr.{group}")}
    return table | BUILTIN[group]


def _installed(group: str) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))
