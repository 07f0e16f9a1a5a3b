"""From a file to a language model: unpacking, cache, choice of the backend."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, cast

from ensemble_htr.assets import cache_folder
from ensemble_htr.errors import AssetError, OutputError, UsageError, did_you_mean
from ensemble_htr.files import atomic_stream
from ensemble_htr.lm import kenlm_backend
from ensemble_htr.lm.arpa import MAX_BYTES, ArpaModel, read_arpa, read_header
from ensemble_htr.lm.tables import keep_model, kept_model
from ensemble_htr.protocols import LanguageModel

__all__ = ["Backend", "load", "opened", "text_logprob"]

Backend = Literal["auto", "kenlm", "arpa", "tables"]
BACKENDS = ("auto", "kenlm", "arpa", "tables")
_READ_ERRORS = (OSError, EOFError, lzma.LZMAError, zlib.error)


def load(path: Path, backend: Backend = "auto") -> LanguageModel:
    """Load ``.arpa``, ``.arpa.xz`` or ``.arpa.gz`` (``.klm``/``.bin``: KenLM's binary form).

    ``auto`` takes KenLM where it is installed and can hold the model's order, else ``tables``. A
    packed file is unpacked once for KenLM into ``$XDG_CACHE_HOME`` (or ``~/.cache``)
    ``/ensemble-htr``. Raises `AssetError` if the file is missing or corrupt, `UsageError` for an
    unknown backend and `MissingDependencyError` if KenLM is asked for and absent. ``tables`` is
    our reader (a `protocols.TabularLanguageModel`) with its arrays kept in the same cache.
    """
    if backend not in BACKENDS:
        raise UsageError(f"unknown LM backend '{backend}'{did_you_mean(backend, BACKENDS)}")
    if not path.is_file():
        raise AssetError(f"{path}: no such language model; wanted an .arpa, .arpa.xz or .arpa.gz")
    if path.suffix in (".bin", ".binary", ".klm"):
        if backend in ("arpa", "tables"):
            raise AssetError(f"{path}: only KenLM reads its binary form; use the ARPA file")
        return kenlm_backend.KenLMModel(path)
    with opened(path) as file:
        order = len(read_header(file, str(path)))
    if backend == "auto":
        fits = order <= kenlm_backend.MAX_ORDER and kenlm_backend.available()
        backend = "kenlm" if fits else "tables"
    if backend == "kenlm":
        return _with_kenlm(path)
    if backend == "tables":
        return _with_tables(path)
    with opened(path) as file:
        return ArpaModel(read_arpa(file, str(path)))


def text_logprob(lm: LanguageModel, tokens: Sequence[str]) -> float:
    """Natural-log probability of a whole line, its end included."""
    state, total = lm.start(), 0.0
    for token in tokens:
        logp, state = lm.score(state, token)
        total += logp
    return total + lm.end(state)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The unpacked bytes of a plain, xz or gzip file; read errors become `AssetError`."""
    try:
        if path.suffix == ".xz":
            file = cast(BinaryIO, lzma.open(path, "rb"))
        elif path.suffix == ".gz":
            file = cast(BinaryIO, gzip.open(path, "rb"))
        else:
            file = path.open("rb")
        with file:
            yield file
    except _READ_ERRORS as error:
        raise AssetError(
            f"{path}: corrupt or truncated ({error or 'unexpected end'}); fetch or build it again"
        ) from None


class _NoRoomError(Exception):
    """The cache cannot be written."""


def _with_kenlm(path: Path) -> LanguageModel:
    if path.suffix not in (".xz", ".gz"):
        return kenlm_backend.KenLMModel(path)
    try:
        return kenlm_backend.KenLMModel(_unpacked(path))
    except _NoRoomError:  # then without the cache: our reader needs no unpacked file
        with opened(path) as file:
            return ArpaModel(read_arpa(file, str(path)))


def _with_tables(path: Path) -> LanguageModel:
    if (model := kept_model(path)) is None:
        with opened(path) as file:
            model = ArpaModel(read_arpa(file, str(path)))
        keep_model(path, model)
    return model


def _unpacked(path: Path) -> Path:
    """The unpacked copy in the cache, written to a temporary name and renamed."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        target = cache_folder() / f"{digest}.arpa"
        if not target.is_file():
            with atomic_stream(target) as sink, opened(path) as source:
                _copy(source, sink, path)
    except (OutputError, OSError, RuntimeError) as error:
        raise _NoRoomError from error
    return target


def _copy(source: BinaryIO, sink: BinaryIO, path: Path) -> None:
    size = 0
    while block := source.read(1 << 20):
        size += len(block)
        if size > MAX_BYTES:
            raise AssetError(f"{path}: unpacks to more than {MAX_BYTES >> 20} MiB")
        try:
            sink.write(block)
        except OSError as error:
            raise _NoRoomError from error
