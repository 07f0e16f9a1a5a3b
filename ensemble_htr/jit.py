"""Compiling with numba where it is installed; what was compiled is kept in the user's cache.

To import a module whose functions are `compiled` is to import numba (half a second): `load` does so
when there is work that pays for it.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, TypeVar, cast

from ensemble_htr.assets import cache_folder

__all__ = ["available", "compiled", "lasting", "leaf", "load"]

F = TypeVar("F", bound=Callable[..., Any])

_LOG = logging.getLogger("ensemble_htr")


@cache
def available() -> bool:
    """Whether numba is there; it is not imported for the answer."""
    return importlib.util.find_spec("numba") is not None


@cache
def load(module: str) -> ModuleType | None:
    """A module of compiled functions, or None, said once, where numba is there and does not load
    (it is often not made for the newest NumPy yet)."""
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:
        _LOG.warning("numba does not load (%s): the same in Python takes over", error)
        return None


def lasting() -> bool:
    """Whether compiled code can be kept for the next process (the cache can be written)."""
    return _place() is not None


def compiled(function: F) -> F:
    """``function`` compiled at its first call, or taken from our cache; other users of numba keep
    theirs."""
    return _compiled(function)


def leaf(function: F) -> F:
    """As `compiled`, for a function that makes no array and calls only such: its arrays are not
    counted. Where many are handed about, counting them takes longer than the work."""
    return _compiled(function, **({"_nrt": False} if _counts_on_request() else {}))


@cache
def _counts_on_request() -> bool:
    """Whether this numba has the (undocumented) option not to count references to arrays."""
    try:
        from numba.core.cpu import CPUTargetOptions
    except ImportError:
        return False
    return hasattr(CPUTargetOptions, "_nrt")


def _compiled(function: F, **options: Any) -> F:
    import numba

    settings: Any = numba.config
    before, place = settings.CACHE_DIR, _place()
    try:
        settings.CACHE_DIR = place or before
        return cast(F, numba.njit(cache=place is not None, **options)(function))
    finally:
        settings.CACHE_DIR = before


@cache
def _place() -> str | None:
    """Where compiled code is kept, None if nowhere."""
    try:
        folder = cache_folder() / "numba"
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError):
        return None
    return str(folder)
