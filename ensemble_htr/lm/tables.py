"""Our reader's arrays, kept in the user's cache: a packed ARPA file is parsed once.

The copy is named by the file's sha256 and by the form of the arrays; it is an uncompressed NumPy
archive, read without pickle and believed only if its arrays fit one another.
"""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from pathlib import Path

import numpy as np

from ensemble_htr.assets import cache_folder
from ensemble_htr.errors import OutputError
from ensemble_htr.files import atomic_stream
from ensemble_htr.lm.arpa import ArpaModel
from ensemble_htr.lm.symbols import SPECIALS
from ensemble_htr.types import NGramTables

__all__ = ["kept_model", "keep_model"]

_FORM = 1
_CODES = ("token", "suffix", "first", "following")


def kept_model(path: Path) -> ArpaModel | None:
    """The model of an ARPA file if its arrays are in the cache."""
    try:
        with np.load(_place(path), allow_pickle=False) as file:
            vocab = tuple(bytes(file["vocab"]).decode("utf-8").split("\n"))
            logp, bow = (np.ascontiguousarray(file[name], np.float32) for name in ("logp", "bow"))
            codes = [np.ascontiguousarray(file[name], np.int32) for name in _CODES]
            token, suffix, first, following = codes
            order, start = (int(n) for n in file["numbers"])
    except (OSError, RuntimeError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    nodes = len(logp)
    sizes = [len(a) for a in (logp, bow, *codes)]
    whole = sizes == [nodes, nodes, nodes, nodes, nodes + 1, nodes] and vocab[:3] == SPECIALS
    inside = whole and all(0 <= c.min() and c.max() <= nodes for c in codes)
    if not inside or len(vocab) >= nodes or not 0 <= start < nodes:
        return None
    tables = NGramTables(logp, bow, token, suffix, first, following, start)
    return ArpaModel.of_tables(vocab, order, tables)


def keep_model(path: Path, model: ArpaModel) -> None:
    """Keep the arrays of the model of ``path``; does nothing where the cache cannot be written or
    a token holds a line break."""
    if any("\n" in token for token in model.vocab):
        return
    tables = model.tables
    arrays = {name: getattr(tables, name) for name in ("logp", "bow", *_CODES)}
    arrays["vocab"] = np.frombuffer("\n".join(model.vocab).encode(), np.uint8)
    arrays["numbers"] = np.array([model.order, tables.start])
    with contextlib.suppress(OutputError, OSError, RuntimeError):
        with atomic_stream(_place(path)) as sink:
            np.savez(sink, **arrays)


def _place(path: Path) -> Path:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return cache_folder() / f"{digest}.tables{_FORM}.npz"
