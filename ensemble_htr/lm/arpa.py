"""ARPA files: a writer, a strict and bounded reader, and a language model in plain Python.

The format is the one of Doug Paul that SRILM documents (``ngram-format(5)``): log10 probabilities
and back-off weights, one section per order. `ArpaModel` is the fallback where KenLM did not compile
and the oracle for it. Probabilities are natural logarithms everywhere on this side of the file.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Hashable, Iterator
from itertools import islice
from typing import BinaryIO

import numpy as np

from ensemble_htr.errors import AssetError
from ensemble_htr.lm.ngrams import BOS_ID, EOS_ID, Floats, Ints, NGramModel, Trie
from ensemble_htr.lm.symbols import SPECIALS, hidden, visible
from ensemble_htr.types import NGramTables

__all__ = ["MAX_BYTES", "ArpaModel", "read_arpa", "read_header", "read_words", "write_arpa"]

LN10 = math.log(10.0)
MAX_BYTES = 1 << 30  # of an unpacked file
MAX_NGRAMS = 40_000_000
MAX_ORDER = 12
MAX_LINE = 4096  # bytes
_CHUNK = 1 << 16  # lines parsed at a time
_NEVER = -99.0  # ARPA's log10 of zero


def _decimal(value: float, decimals: int) -> str:
    """A log10 as short as ``decimals`` places allow."""
    text = f"{value:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def write_arpa(model: NGramModel, file: BinaryIO, decimals: int = 6) -> None:
    """Write ``model`` with ``decimals`` places of log10; back-off weights of 0 are left out."""
    trie = model.trie
    logs = np.maximum(model.logp / LN10, _NEVER)
    bows = np.maximum(model.bow / LN10, _NEVER)
    head = "".join(f"ngram {n}={c}\n" for n, c in enumerate(model.counts(), start=1))
    file.write(f"\\data\\\n{head}".encode())
    words = [visible(t) if i >= len(SPECIALS) else t for i, t in enumerate(model.vocab)]
    names: list[str] = []
    for n in range(1, trie.order + 1):
        here = trie.nodes(n)
        if n == 1:
            names = words
        else:
            parents = (trie.parent[here] - trie.offsets[n - 1]).tolist()
            tails = trie.token[here].tolist()
            names = [f"{names[p]} {words[t]}" for p, t in zip(parents, tails, strict=True)]
        file.write(f"\n\\{n}-grams:\n".encode())
        rows = zip(logs[here].tolist(), names, bows[here].tolist(), strict=True)
        file.writelines(_row(lp, name, bow, n < trie.order, decimals) for lp, name, bow in rows)
    file.write(b"\n\\end\\\n")


def _row(logp: float, name: str, bow: float, deeper: bool, decimals: int) -> bytes:
    tail = _decimal(bow, decimals) if deeper else "0"
    end = "\n" if tail == "0" else f"\t{tail}\n"
    return f"{_decimal(min(logp, 0.0), decimals)}\t{name}{end}".encode()


class _Lines:
    """The lines of a file with their numbers, within bounds; errors name file and line."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file, self.name, self.number, self.bytes = file, name, 0, 0

    def fail(self, found: str) -> AssetError:
        return AssetError(
            f"{self.name}: line {self.number}: not a usable ARPA language model: {found}; "
            "build it again with  ensemble-htr lm build"
        )

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            line = self.file.readline(MAX_LINE + 1)
        except (OSError, EOFError, ValueError) as error:
            raise self.fail(f"cannot read on ({error})") from None
        if not line:
            raise StopIteration
        self.number += 1
        self.bytes += len(line)
        if len(line) > MAX_LINE:
            raise self.fail(f"a line of more than {MAX_LINE} bytes")
        if self.bytes > MAX_BYTES:
            raise self.fail(f"more than {MAX_BYTES >> 20} MiB")
        return line.rstrip(b"\r\n")

    def filled(self) -> bytes:
        """The next line that is not empty."""
        for line in self:
            if line.strip():
                return line
        raise self.fail("the file ends too early")


def read_header(file: BinaryIO, name: str) -> tuple[int, ...]:
    """Read the ``\\data\\`` section: the number of n-grams per order. Raises `AssetError`."""
    return _header(_Lines(file, name))[0]


def read_words(file: BinaryIO, name: str) -> tuple[str, ...]:
    """Read the 1-grams only: the vocabulary without the specials, sorted. Raises `AssetError`."""
    lines = _Lines(file, name)
    counts, line = _header(lines)
    if line.strip() != b"\\1-grams:":
        raise lines.fail("wanted the section \\1-grams:")
    words = [word for rows, _, _ in _rows(lines, 1, counts[0]) for word in rows]
    return _vocabulary(lines, words)[0][len(SPECIALS) :]


def _header(lines: _Lines) -> tuple[tuple[int, ...], bytes]:
    if lines.filled().strip() != b"\\data\\":
        raise lines.fail("it does not begin with \\data\\")
    counts: list[int] = []
    while (line := lines.filled()).startswith(b"ngram "):
        left, _, right = line[6:].partition(b"=")
        if left.strip() != b"%d" % (len(counts) + 1) or not right.strip().isdigit():
            raise lines.fail(f"the count {line[:60]!r} is out of order")
        counts.append(int(right[:20]))
        if len(counts) > MAX_ORDER or sum(counts) > MAX_NGRAMS:
            raise lines.fail(f"more than {MAX_NGRAMS} n-grams or an order over {MAX_ORDER}")
    if not counts or counts[0] == 0:
        raise lines.fail("no n-gram counts")
    return tuple(counts), line


def _rows(lines: _Lines, n: int, total: int) -> Iterator[tuple[list[bytes], Floats, Floats]]:
    """Chunks of a section: words (n per n-gram, flat), log10 probabilities, back-off weights."""
    done = 0
    while done < total:
        rows = [row.split(b"\t") for row in islice(lines, min(_CHUNK, total - done))]
        if not rows or any(len(row) not in (2, 3) for row in rows):
            raise lines.fail(f"fewer than {total} well-formed {n}-grams")
        words = b" ".join([row[1] for row in rows]).split(b" ")
        if len(words) != n * len(rows) or any(row[1].count(b" ") != n - 1 for row in rows):
            raise lines.fail(f"a {n}-gram that does not have {n} words")
        try:
            logp = np.array([float(row[0]) for row in rows])
            bow = np.array([float(row[2]) if len(row) == 3 else 0.0 for row in rows])
        except ValueError as error:
            raise lines.fail(str(error)) from None
        if not ((np.abs(bow) < 1e4).all() and (logp <= 0).all() and (logp > -1e4).all()):
            raise lines.fail("a probability over 1 or a number that is not finite")
        done += len(rows)
        yield words, logp, bow


def _vocabulary(lines: _Lines, words: list[bytes]) -> tuple[tuple[str, ...], list[int]]:
    """The vocabulary with the specials first, and for each of its ids the row (-1: none)."""
    try:
        texts = [word.decode("utf-8") for word in words]
    except UnicodeDecodeError:
        raise lines.fail("a word that is not UTF-8") from None
    at = {text: i for i, text in enumerate(texts)}
    if len(at) != len(texts) or "" in at:
        raise lines.fail("a word that occurs twice, or an empty one")
    if "<UNK>" in at and "<unk>" not in at:
        at["<unk>"] = at.pop("<UNK>")
    if "</s>" not in at:
        raise lines.fail("no </s>")
    plain = sorted((hidden(t), i) for t, i in at.items() if t not in SPECIALS)
    vocab = SPECIALS + tuple(t for t, _ in plain)
    if len(set(vocab)) != len(vocab):
        raise lines.fail("two words that stand for the same token")
    return vocab, [at.get(t, -1) for t in SPECIALS] + [i for _, i in plain]


def read_arpa(file: BinaryIO, name: str) -> NGramModel:
    """Read a whole ARPA file; ``name`` is for messages. Raises `AssetError` for any defect."""
    lines = _Lines(file, name)
    counts, line = _header(lines)
    builder: _Builder | None = None
    for n, total in enumerate(counts, start=1):
        if line.strip() != b"\\%d-grams:" % n:
            raise lines.fail(f"wanted the section \\{n}-grams:")
        chunks = _rows(lines, n, total)
        if builder is None:
            builder = _Builder(lines, list(chunks))
        else:
            builder.add(n, chunks)
        line = lines.filled()
    if line.strip() != b"\\end\\":
        raise lines.fail("no \\end\\")
    assert builder is not None
    return builder.model()


class _Builder:
    """Puts the sections of an ARPA file into the arrays of a trie, order by order."""

    def __init__(self, lines: _Lines, chunks: list[tuple[list[bytes], Floats, Floats]]) -> None:
        self.lines = lines
        words = [word for chunk in chunks for word in chunk[0]]
        self.vocab, rows = _vocabulary(lines, words)
        size = len(self.vocab)
        self.ids = {words[row]: i for i, row in enumerate(rows) if row >= 0}
        logp = np.append(np.concatenate([c[1] for c in chunks]), _NEVER)[rows]
        bow = np.append(np.concatenate([c[2] for c in chunks]), 0.0)[rows]
        zero = np.zeros(1)
        self.logp, self.bow = [zero, logp], [zero, bow]
        none = np.zeros(1 + size, np.int64)
        self.trie = Trie(size, (0, 1, 1 + size), np.append([0], np.arange(size)), none, none.copy())

    def add(self, n: int, chunks: Iterator[tuple[list[bytes], Floats, Floats]]) -> None:
        """Add the n-grams of order ``n``; those of order ``n - 1`` are all there."""
        size, old = self.trie.size, self.trie
        keys, logp, bow = [np.zeros(0, np.int64)], [np.zeros(0)], [np.zeros(0)]
        for words, lp, b in chunks:
            ids = np.array([self.ids.get(word, -1) for word in words], np.int64).reshape(-1, n)
            if (ids < 0).any():
                raise self.lines.fail("a word that is not among the 1-grams")
            node = ids[:, 0] + 1
            for i in range(1, n - 1):
                node = old.find(node, ids[:, i])
            if (node < 0).any():
                raise self.lines.fail(f"a {n}-gram whose first {n - 1} words are no n-gram")
            keys.append(node * size + ids[:, -1])
            logp.append(lp)
            bow.append(b)
        packed = np.concatenate(keys)
        order = np.argsort(packed, kind="stable")
        packed = packed[order]
        if (packed[1:] == packed[:-1]).any():
            raise self.lines.fail(f"a {n}-gram that occurs twice")
        self.logp.append(np.concatenate(logp)[order])
        self.bow.append(np.concatenate(bow)[order])
        parent, token = packed // size, packed % size
        self.trie = Trie(
            size,
            (*old.offsets, old.offsets[-1] + len(packed)),
            np.concatenate([old.token, token]),
            np.concatenate([old.parent, parent]),
            np.concatenate([old.suffix, _suffixes(old, parent, token)]),
        )

    def model(self) -> NGramModel:
        logp = np.concatenate(self.logp)
        natural = np.where(logp <= _NEVER, -np.inf, logp * LN10)
        natural[1 + BOS_ID] = -np.inf
        return NGramModel(self.vocab, self.trie, natural, np.concatenate(self.bow) * LN10)


def _suffixes(trie: Trie, parent: Ints, token: Ints) -> Ints:
    """The longest proper suffix that exists of each new n-gram (parent, token)."""
    context = trie.suffix[parent]
    found = trie.find(context, token)
    while (missing := found < 0).any():
        context[missing] = trie.suffix[context[missing]]
        found[missing] = trie.find(context[missing], token[missing])
    return found


class ArpaModel:
    """A `LanguageModel` over an `NGramModel`, in plain Python on compact arrays.

    A state is the number of a node: the longest context that can still matter. Tokens that the
    model does not know are scored as ``<unk>``.
    """

    def __init__(self, model: NGramModel) -> None:
        trie = model.trie
        first = np.searchsorted(trie.parent[1:], np.arange(len(trie.token) + 1)) + 1
        following = _next_states(model, first).astype(np.int32)
        tables = NGramTables(
            np.maximum(model.logp, _NEVER * LN10).astype(np.float32),
            model.bow.astype(np.float32),
            trie.token.astype(np.int32),
            trie.suffix.astype(np.int32),
            first.astype(np.int32),
            following,
            int(following[1 + BOS_ID]),
        )
        self._set(model.vocab, trie.order, tables)

    @classmethod
    def of_tables(cls, vocab: tuple[str, ...], order: int, tables: NGramTables) -> ArpaModel:
        """The model whose `tables` these are."""
        model = cls.__new__(cls)
        model._set(vocab, order, tables)
        return model

    def _set(self, vocab: tuple[str, ...], order: int, tables: NGramTables) -> None:
        self.order, self.vocab = order, vocab
        self._ids = {t: i for i, t in enumerate(vocab) if i >= len(SPECIALS)}
        self._logp, self._bow = (array("f", a.tobytes()) for a in (tables.logp, tables.bow))
        codes = (tables.token, tables.suffix, tables.first, tables.following)
        self._token, self._suffix, self._first, self._next = (
            array("i", a.tobytes()) for a in codes
        )

    def start(self) -> Hashable:
        return self._next[1 + BOS_ID]

    def score(self, state: Hashable, token: str) -> tuple[float, Hashable]:
        return self._score(state, self._ids.get(token, 0))  # type: ignore[arg-type]

    def end(self, state: Hashable) -> float:
        return self._score(state, EOS_ID)[0]  # type: ignore[arg-type]

    @property
    def tables(self) -> NGramTables:
        """The arrays themselves, for compiled code."""
        logp, bow = (np.frombuffer(a, np.float32) for a in (self._logp, self._bow))
        codes = (self._token, self._suffix, self._first, self._next)
        token, suffix, first, following = (np.frombuffer(a, np.int32) for a in codes)
        return NGramTables(logp, bow, token, suffix, first, following, self._next[1 + BOS_ID])

    def id_of(self, token: str) -> int:
        return self._ids.get(token, 0)

    def _score(self, node: int, token: int) -> tuple[float, int]:
        total, first, tokens = 0.0, self._first, self._token
        while node:
            stop = first[node + 1]
            at = bisect_left(tokens, token, first[node], stop)
            if at < stop and tokens[at] == token:
                break
            total += self._bow[node]
            node = self._suffix[node]
        else:
            at = 1 + token
        total += self._logp[at]
        return (total if total < 0.0 else 0.0), self._next[at]


def _next_states(model: NGramModel, first: Ints) -> Ints:
    """For every n-gram the shortest context that predicts like it: the state after reading it."""
    trie = model.trie
    following = np.arange(len(trie.token), dtype=np.int64)
    idle = (first[1:] == first[:-1]) & (model.bow == 0.0)
    idle[trie.nodes(trie.order)] = True
    if trie.order == 1:
        idle[:] = True
    for n in range(1, trie.order + 1):
        here = np.arange(trie.offsets[n], trie.offsets[n + 1])
        here = here[idle[here]]
        following[here] = following[trie.suffix[here]]
    return following
