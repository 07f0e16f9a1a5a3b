"""Values as TOML spells them, for the files that we write ourselves; `tomllib` reads them back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["toml_value"]


def toml_value(value: Any) -> str:
    """``value`` (text, a number, a truth value, lists and tables of them) as a TOML file has it.

    Raises `TypeError` for what TOML does not know, as None.
    """
    if isinstance(value, str):  # as in JSON, where DEL may stand unescaped
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return float.__repr__(value)  # JSON says Infinity and NaN
    if isinstance(value, int):
        return json.dumps(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        rows = (f"{toml_value(str(key))} = {toml_value(each)}" for key, each in value.items())
        return f"{{{', '.join(rows)}}}"
    raise TypeError(f"TOML has no value for {value!r}")
