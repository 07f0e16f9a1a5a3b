"""Strict configuration: TOML tables become dataclasses; an unknown key is an error with a hint."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ensemble_htr.errors import ConfigError, InputError, UsageError, did_you_mean
from ensemble_htr.files import read_small

__all__ = ["from_mapping", "load_toml", "to_mapping"]

T = TypeVar("T")


def load_toml(path: Path, kind: type[T]) -> T:
    """Read ``path`` into an instance of the dataclass ``kind``.

    Raises `InputError` if the file cannot be read, `ConfigError` for bad TOML, an unknown key, a
    missing key or a value of the wrong type; the message names the file and the key.
    """
    try:
        data = tomllib.loads(read_small(path).decode("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # bad TOML, not UTF-8, a number without end
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    return from_mapping(data, kind, str(path))


def from_mapping(data: Mapping[str, Any], kind: type[T], where: str = "config") -> T:
    """Build the dataclass ``kind`` from a mapping of plain values, recursively and strictly."""
    assert dataclasses.is_dataclass(kind)
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for key in data:
        if key not in fields:
            raise ConfigError(f"{where}: unknown key '{key}'{did_you_mean(key, fields)}")
    values: dict[str, Any] = {}
    for name, spec in fields.items():
        if name in data:
            values[name] = _convert(data[name], hints[name], f"{where}: {name}")
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}: key '{name}' is missing")
    try:
        return typing.cast(T, kind(**values))
    except (ValueError, UsageError) as error:
        raise ConfigError(f"{where}: {error}") from None


def to_mapping(value: Any) -> Any:
    """The inverse of `from_mapping`: plain dicts, lists and scalars, ready for JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_mapping(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_mapping(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_mapping(v) for v in value]
    return value


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(value, int) and value.bit_length() > 64:
        raise ConfigError(f"{where}: the number is too large")
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _convert(value, next(a for a in args if a is not type(None)), where)
    if origin is typing.Literal:
        if value not in args:
            choices = did_you_mean(str(value), map(str, args))
            raise ConfigError(f"{where} is '{value}'{choices}")
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: wanted a table, found {type(value).__name__}")
        return from_mapping(value, hint, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where}: wanted a list, found {type(value).__name__}")
        inner = args[:1] * len(value) if len(args) == 2 and args[1] is Ellipsis else args
        if len(inner) != len(value):
            raise ConfigError(f"{where}: wanted {len(inner)} values, found {len(value)}")
        return tuple(_convert(v, t, where) for v, t in zip(value, inner, strict=True))
    if (
        origin in (dict, Mapping)
        or hint in (dict, Mapping)
        or origin is not None
        and issubclass(origin, Mapping)
    ):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: wanted a table, found {type(value).__name__}")
        return {k: _convert(v, args[1] if args else Any, f"{where}.{k}") for k, v in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if isinstance(hint, type) and (
        not isinstance(value, hint) or (hint is int and isinstance(value, bool))
    ):
        raise ConfigError(f"{where}: wanted {hint.__name__}, found {value!r}")
    return value
