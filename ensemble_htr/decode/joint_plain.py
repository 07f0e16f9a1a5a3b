"""The joint search of `decode.joint` in plain NumPy: for machines without numba and for language
models without tables, and the account by which the compiled one is tested."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.protocols import LanguageModel
from ensemble_htr.text import is_number, is_run
from ensemble_htr.types import JointOptions, WordTable

__all__ = ["LONGEST", "UNKNOWN", "search"]

Floats = NDArray[np.float64]
UNKNOWN, LONGEST = 1.0, 8  # what a letter of an unknown word takes off, and how many count
_NEVER = -1e9


@dataclass(frozen=True, slots=True)
class _Prefix:
    text: tuple[str, ...]
    score: float
    state: Hashable  # of the language model
    word: str  # the letters at its end
    label: tuple[Floats, ...]  # by net, (frames,): log mass of the paths that end in its last token
    blank: tuple[Floats, ...]  # and of those that end in a blank
    prefix: tuple[float, ...]  # by net, log mass of all paths that begin so


def search(
    options: JointOptions, lm: LanguageModel | None, words: WordTable | None,
    tokens: Sequence[str], probs: Floats, start: NDArray[np.int64], nets: Floats,
) -> list[tuple[float, tuple[str, ...]]]:  # fmt: skip
    """The best whole lines with their scores, in no order; parameters as `joint_kernel.search`."""
    with np.errstate(divide="ignore"):
        logp = [np.log(probs[a:b]) for a, b in zip(start, start[1:], strict=False)]
    vocabulary = _Words(words, options.words if words is not None else 0.0)
    empty = tuple(np.full(len(p), -np.inf) for p in logp)
    alive = [
        _Prefix((), 0.0, lm.start() if lm is not None else None, "", empty,
                tuple(np.cumsum(p[:, 0]) for p in logp), (0.0,) * len(logp))
    ]  # fmt: skip
    done: list[tuple[float, _Prefix]] = []
    for length in range(1 + max(map(len, logp))):
        done += [(_whole(p, options, vocabulary, nets), p) for p in alive]
        done = sorted(done, key=lambda d: -d[0])[: options.n_best]
        if length == max(map(len, logp)):
            break
        tried = [c for p in alive for c in _tried(p, options, lm, vocabulary, tokens, logp, nets)]
        tried.sort(key=lambda t: -t[0])
        full = len(done) == options.n_best
        if not tried or (full and tried[0][0] < done[-1][0] - options.patience):
            break
        limit = tried[0][0] - options.behind
        grown = (
            _grown(p, score, c, prefix, tokens, lm, logp)
            for score, p, c, prefix in tried[: options.beam] if score >= limit
        )  # fmt: skip
        alive = [p for p in grown if any(np.isfinite(m).any() for m in (*p.label, *p.blank))]
    ends = [0.0 if lm is None else options.alpha * lm.end(p.state) for _, p in done]
    return [(score + end, p.text) for (score, p), end in zip(done, ends, strict=True)]


def _before(p: _Prefix, k: int, again: bool) -> Floats:
    """By frame: log mass of the paths that may write a further token there."""
    both = p.blank[k] if again else np.logaddexp(p.blank[k], p.label[k])
    return np.concatenate([[-np.inf if p.text else 0.0], both[:-1]])


def _tried(
    p: _Prefix, o: JointOptions, lm: LanguageModel | None, words: _Words,
    tokens: Sequence[str], logp: Sequence[Floats], nets: Floats,
) -> list[tuple[float, _Prefix, int, tuple[float, ...]]]:  # fmt: skip
    """The likeliest symbols after a prefix: score, prefix, column, log masses by net."""
    found = []
    for c, token in enumerate(tokens, start=1):
        again = p.text[-1:] == (token,)
        prefix = []
        score = p.score
        for k, net in enumerate(logp):
            mass = float(np.logaddexp.reduce(_before(p, k, again) + net[:, c]))
            prefix.append(mass if mass > -math.inf else _NEVER)
            change = max(mass - p.prefix[k], -o.floor) if mass > -math.inf else -o.floor
            score += float(nets[k]) * min(0.0, change)
        found.append((score, p, c, tuple(prefix)))
    least = sorted((f[0] for f in found), reverse=True)[: o.tries][-1] if found else 0.0
    spoken = []
    for score, _, c, prefix_ in found:
        if score < least:
            continue
        token = tokens[c - 1]
        if lm is not None and not _exempt(p.text, token):
            score += o.alpha * lm.score(p.state, token)[0] + o.beta
        score += words.weight * words.change(p.word, token)
        spoken.append((score, p, c, prefix_))
    return spoken


def _exempt(text: Sequence[str], token: str) -> bool:
    run = 1
    while text[-run:] == (token,) * run:
        run += 1
    return is_number(token) or is_run(token, run)


def _grown(
    p: _Prefix, score: float, c: int, prefix: tuple[float, ...], tokens: Sequence[str],
    lm: LanguageModel | None, logp: Sequence[Floats],
) -> _Prefix:  # fmt: skip
    token = tokens[c - 1]
    labels, blanks = [], []
    for k, net in enumerate(logp):
        comes = _before(p, k, p.text[-1:] == (token,))
        label, blank = np.full(len(net), -np.inf), np.full(len(net), -np.inf)
        a = b = -np.inf
        for t in range(len(net)):
            b = np.logaddexp(a, b) + net[t, 0]
            a = np.logaddexp(a, comes[t]) + net[t, c]
            label[t], blank[t] = a, b
        labels.append(label)
        blanks.append(blank)
    state = p.state if lm is None else lm.score(p.state, token)[1]
    word = p.word + token if token[0].isalpha() else ""
    return _Prefix((*p.text, token), score, state, word, tuple(labels), tuple(blanks), prefix)


def _whole(p: _Prefix, o: JointOptions, words: _Words, nets: Floats) -> float:
    total = p.score
    for k, weight in enumerate(nets):
        mass = np.logaddexp(p.label[k][-1], p.blank[k][-1]) - p.prefix[k]
        total += float(weight) * max(float(mass), -o.floor)
    return total + words.weight * words.ended(p.word)


class _Words:
    """What words say of a text that grows; see `joint_kernel._wording`."""

    def __init__(self, table: WordTable | None, weight: float) -> None:
        self.weight = weight
        self.known: dict[str, float] = {}
        self.begun: set[str] = set()
        if table is not None and weight > 0:
            text = "".join(map(chr, table.text.tolist()))
            for a, b, value in zip(table.start, table.start[1:], table.value, strict=False):
                self.known[text[a:b]] = float(value)
                self.begun |= {text[a:i] for i in range(a + 1, b + 1)}

    def ended(self, word: str) -> float:
        if not word or word not in self.begun:
            return 0.0
        return self.known.get(word, -UNKNOWN * min(len(word), LONGEST))

    def change(self, word: str, token: str) -> float:
        if self.weight == 0:
            return 0.0
        if not token[0].isalpha():
            return self.ended(word)
        if word and word not in self.begun:
            return -UNKNOWN if len(word) < LONGEST else 0.0
        return 0.0 if word + token in self.begun else -UNKNOWN * min(len(word) + 1, LONGEST)
