"""The drawn tree of errors: every message says what was found, what was wanted and what to do.

The command line prints ``str(error)`` on one line and exits with ``error.exit_code``: 2 for wrong
usage (the user can fix the command), 1 for everything else.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AssetError",
    "ConfigError",
    "EnsembleError",
    "ImageError",
    "InputError",
    "MissingDependencyError",
    "OutputError",
    "UsageError",
    "XMLError",
    "did_you_mean",
    "printable",
]


class EnsembleError(Exception):
    """Base of all errors that ensemble-htr raises on purpose."""

    exit_code = 1


class UsageError(EnsembleError):
    """The command or call itself cannot work: unknown name, contradictory options."""

    exit_code = 2


class ConfigError(UsageError):
    """A recipe or configuration file holds an unknown key or a value of the wrong type."""


class InputError(EnsembleError):
    """A file from outside cannot be used; the message names the file and the defect."""


class ImageError(InputError):
    """An image is empty, truncated, too large or of an unknown kind."""


class XMLError(InputError):
    """An XML file is not well formed, forbidden (DOCTYPE) or of a schema that we do not read."""


class AssetError(EnsembleError):
    """A model, language model or lexicon is missing, corrupt, or made for something else."""


class OutputError(EnsembleError):
    """An output place cannot be written."""


class MissingDependencyError(EnsembleError):
    """An optional library is not installed; the message names the extra to install."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {library}, which is not installed: "
            f"run  pip install 'ensemble-htr[{extra}]'"
        )


def did_you_mean(found: str, choices: Iterable[str]) -> str:
    """Return ``'; did you mean 'x'? (choices: ...)'`` for a name that is not among ``choices``."""
    names = sorted(choices)
    close = difflib.get_close_matches(found, names, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"{hint} (choices: {', '.join(names)})" if names else hint


def printable(text: str, most: int = 0) -> str:
    """``text`` as a message may show it: one line, what a terminal would obey or not show (control
    characters, marks of direction, halves of surrogate pairs) escaped, at most ``most`` characters
    of it (0 = all)."""
    line = " ".join(text.split())
    if most and len(line) > most:
        line = line[:most] + "..."
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in line
    )
