"""From a name to a verified folder: weights, language models, lexicons, the bundled sample.

A *shelf* is a folder of products that share one anatomy: ``recipe.toml`` (how it was made),
``lock.json`` (what it must be, byte for byte), ``card.md`` (what it is, what it scores, where it
fails) and the product itself. Places are searched in this order:

1. an explicit path (a name that holds a path separator or is absolute);
2. ``<near>/<kind>/<name>``: a product may carry its parts in a small shelf of its own;
3. ``$ENSEMBLE_HTR_HOME/<kind>/<name>``, the user's own shelf;
4. ``<clone>/<kind>/<name>``, when the package runs from a checkout (also installed ``--editable``);
5. ``ensemble_htr/_shelf/<kind>/<name>``, inside an installed wheel.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal, get_args

from ensemble_htr.config import to_mapping
from ensemble_htr.errors import AssetError, UsageError, did_you_mean, printable
from ensemble_htr.files import read_small, regular_size

__all__ = [
    "KINDS",
    "Kind",
    "Lock",
    "LockedFile",
    "available",
    "cache_folder",
    "card_line",
    "card_text",
    "data_root",
    "leaves",
    "read_lock",
    "resolve",
    "sha256_file",
    "unknown",
    "verify",
    "write_lock",
]

Kind = Literal["lm", "models", "sample", "lexicons", "packs"]
KINDS: tuple[str, ...] = get_args(Kind)
LOCK, CARD = "lock.json", "card.md"
HOME_VARIABLE = "ENSEMBLE_HTR_HOME"
_NO_NAMES = ("", ".", "..")


@dataclass(frozen=True, slots=True)
class LockedFile:
    """What a file of a product must be: ``sha256`` in lower-case hexadecimal, size in bytes."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Lock:
    """The content of ``lock.json``: every file of the product, and where it came from.

    In JSON ``files`` is a table by name, or ``product`` one table that also holds its ``file``;
    keys that are not named here are the product's ``facts``.
    """

    files: Mapping[str, LockedFile]  # by POSIX path relative to the folder
    licence: str = ""  # SPDX name, or a sentence
    data: Mapping[str, Any] = field(default_factory=dict)  # name of a source -> sha256 or commit
    tools: Mapping[str, Any] = field(default_factory=dict)  # program -> version that made it
    facts: Mapping[str, Any] = field(default_factory=dict)  # parameters, figures (plain JSON)

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(entry.bytes for entry in self.files.values())


def resolve(kind: Kind, name: str, *, check: bool = True, near: Path | None = None) -> Path:
    """The folder called ``name``; see the module for the order. The path of a ``model.toml``
    means its folder.

    With ``check`` its files are compared with its lock; a product on a shelf must have one, a
    folder given by its path or carried by the product ``near`` may do without. Raises `UsageError`
    for an unknown name (with the choices) and for a file, `AssetError` for a path where there is
    nothing, or if the product is not what its lock says.
    """
    path = _explicit(kind, name)
    if path is None and near is not None and name not in _NO_NAMES:
        own = near / kind / name
        path = own if os.path.isdir(own) else None
    given = path is not None
    if path is None:
        path = next((p for p in _candidates(kind, name) if os.path.isdir(p)), None)
    if path is None:
        raise unknown(_noun(kind), name, available(kind))
    if check and (not given or _has_lock(path)):
        verify(path)
    return path


def unknown(what: str, name: str, choices: Iterable[str]) -> UsageError:
    """The error for a ``name`` that no product has; ``what`` was wanted."""
    here = f"; for the one in this directory write ./{name}" if os.path.exists(name) else ""
    return UsageError(f"no {what} called '{name}'{did_you_mean(name, choices)}{here}")


def available(kind: Kind) -> dict[str, Path]:
    """Every product of this kind by its name, the first place in the search order winning.

    Raises `AssetError` for a shelf that cannot be listed.
    """
    found: dict[str, Path] = {}
    for shelf in _shelves(kind):
        if shelf.is_dir():
            try:
                folders = sorted(shelf.iterdir())
            except OSError as error:
                raise AssetError(f"{shelf}: cannot be listed: {error.strerror}") from None
            for folder in folders:
                if _has_lock(folder):
                    found.setdefault(folder.name, folder)
    return found


def _has_lock(folder: Path) -> bool:
    try:
        return (folder / LOCK).is_file()
    except OSError:  # something is there that cannot be looked at: `verify` says what
        return True


def verify(folder: Path) -> Lock:
    """Compare every file that ``lock.json`` names with its size and hash; return the lock.

    Raises `AssetError` naming the file, what was expected and what was found.
    """
    lock = read_lock(folder)
    for name, wanted in lock.files.items():
        path = folder / name
        try:
            size = regular_size(path)
            found = sha256_file(path) if size == wanted.bytes else ""
            pointer = "" if size == wanted.bytes else _pointer(path)
        except (OSError, ValueError) as error:  # ValueError: no file can have such a name
            reason = getattr(error, "strerror", None) or error
            raise AssetError(
                f"{path}: named in {LOCK} but cannot be read ({reason}); fetch it again"
            ) from None
        if size != wanted.bytes:
            raise AssetError(
                f"{path}: expected {wanted.bytes} bytes, found {size}; "
                f"the file is truncated or was replaced, fetch it again{pointer}"
            )
        if found != wanted.sha256:
            raise AssetError(
                f"{path}: expected sha256 {wanted.sha256[:16]}..., found {found[:16]}...; "
                "the file was changed, fetch it again or write its lock anew"
            )
    return lock


def read_lock(folder: Path) -> Lock:
    """Read ``lock.json`` without looking at the files; raises `AssetError` if it is no lock."""
    path = folder / LOCK
    try:
        lock = _parse(json.loads(read_small(path).decode("utf-8")))
    except FileNotFoundError:
        raise AssetError(
            f"{folder}: holds no finished product (no {LOCK}); `ensemble-htr models list` shows "
            "what is there"
        ) from None
    except OSError as error:
        raise AssetError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = printable(repr(error), 200)
        raise AssetError(f"{path}: not a lock file of schema 1 ({reason})") from None
    for name in lock.files:
        if leaves(name):
            raise AssetError(f"{path}: '{name}' lies outside the folder")
    return lock


def _parse(data: dict[str, Any]) -> Lock:
    if data.pop("schema") != 1:
        raise ValueError("made by a newer ensemble-htr?")
    files = data.pop("files", None)
    if files is None:
        product = data.pop("product")
        files = {product["file"]: product}
    entries = {str(n): LockedFile(str(f["sha256"]), _size(f["bytes"])) for n, f in files.items()}
    if not entries:
        raise ValueError("it names no file")
    licence = str(data.pop("licence", ""))
    return Lock(entries, licence, dict(data.pop("data", {})), dict(data.pop("tools", {})), data)


def _size(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"{value!r} is no number of bytes")
    return value


def write_lock(
    folder: Path,
    files: Iterable[str],
    *,
    licence: str = "",
    data: Mapping[str, Any] | None = None,
    tools: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Lock:
    """Hash ``files`` (paths relative to ``folder``), write ``lock.json`` and return the lock.

    Raises `AssetError` if a file cannot be read or the lock cannot be written.
    """
    try:
        entries = {
            name: LockedFile(sha256_file(folder / name), (folder / name).stat().st_size)
            for name in sorted(files)
        }
        lock = Lock(entries, licence, dict(data or {}), dict(tools or {}), dict(facts or {}))
        named = to_mapping(lock)
        table = {"schema": 1, **named.pop("facts"), **named}
        text = json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        temporary = folder / f".{LOCK}.tmp"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(folder / LOCK)
    except OSError as error:
        raise AssetError(f"{folder}: cannot write its lock: {error}") from None
    return lock


def leaves(name: str) -> bool:
    """Whether ``name``, taken from a folder, may lead out of it: absolute, on another drive, or
    with ``..``."""
    paths = PurePosixPath(name), PureWindowsPath(name)
    return any(path.anchor or ".." in path.parts for path in paths)


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file in lower-case hexadecimal, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def card_line(folder: Path) -> str:
    """The first sentence of prose in ``card.md`` ('' if there is none): what the product is."""
    try:
        text = card_text(folder)
    except AssetError:
        return ""
    paragraphs = (" ".join(p.split()) for p in re.split(r"\n\s*\n|^#.*$", text, flags=re.MULTILINE))
    prose = next((p for p in paragraphs if p and p[0] not in "-|<"), "")
    return re.split(r"(?<=[.:;]) ", prose, maxsplit=1)[0].rstrip(":;")


def card_text(folder: Path) -> str:
    """``card.md`` ('' if there is none), what is not UTF-8 replaced. It may hold anything that
    somebody wrote: a terminal is not to be shown it as it is. Raises `AssetError` if it cannot be
    read."""
    path = folder / CARD
    try:
        return read_small(path).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise AssetError(f"{path}: cannot be read: {error.strerror}") from None


def data_root() -> Path:
    """Where recipes look for their texts and lists: ``$ENSEMBLE_HTR_DATA``, else
    ``../shared/data``."""
    return Path(os.environ.get("ENSEMBLE_HTR_DATA", "") or "../shared/data")


def cache_folder() -> Path:
    """Where unpacked copies of products are kept: ``ensemble-htr`` in ``$XDG_CACHE_HOME`` or
    ``~/.cache``. Raises `RuntimeError` where there is no home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "ensemble-htr"


def _shelves(kind: Kind) -> Iterator[Path]:
    if kind not in KINDS:
        raise UsageError(f"unknown kind of asset '{kind}'{did_you_mean(kind, KINDS)}")
    if home := os.environ.get(HOME_VARIABLE):
        yield Path(home).expanduser() / kind
    package = Path(__file__).resolve().parent
    if (package.parent / "pyproject.toml").is_file():  # a clone, not somebody's site-packages
        yield package.parent / kind
    yield package / "_shelf" / kind


def _candidates(kind: Kind, name: str) -> Iterator[Path]:
    return (shelf / name for shelf in _shelves(kind)) if name not in _NO_NAMES else iter(())


def _explicit(kind: Kind, name: str) -> Path | None:
    separators = {os.sep, os.altsep or os.sep}
    path = Path(name).expanduser()
    if not path.is_absolute() and not any(separator in name for separator in separators):
        return None
    if os.path.isdir(path):
        return path
    if not os.path.exists(path):
        raise AssetError(f"{name}: no such {_noun(kind)} (a name with a '/' is taken as a path)")
    if kind == "models" and path.name == "model.toml":
        return path.parent
    raise UsageError(f"{name}: is no {_noun(kind)}; wanted a folder, as {path.parent}/")


def _noun(kind: Kind) -> str:
    nouns = {"lm": "language model", "packs": "language pack"}
    return nouns.get(kind, kind.removesuffix("s"))


def _pointer(path: Path) -> str:
    """A word on the usual cause of a tiny file: a pointer left by large-file storage."""
    with path.open("rb") as stream:
        is_pointer = stream.read(8) == b"version "
    return " (it is a large-file pointer, not the file)" if is_pointer else ""
