"""Prefix beam search over CTC posteriors, with a character language model in the first pass.

CTC spells one text in many ways ("a-a-bb", "aa--ab" ...). Instead of paths the beam therefore keeps
*prefixes* (texts so far), each with the summed probability of its paths, split into those that end
in a blank and those that end in the prefix's last symbol: only the former may write that symbol
once more (Graves 2012, section 7.5.3; Hannun et al. 2014, algorithm 1). The language model joins
whenever a prefix grows ("shallow fusion", first pass)::

    score(text) = log P_ctc(text | image)
                + sum over its tokens (alpha * log P_lm(token | tokens before) + beta)
                + alpha * log P_lm(end of line | text)

Masses are plain products (a growing prefix multiplies its share by exp(alpha * log P_lm + beta)),
brought back into range by a common log factor: in Python a product costs a tenth of a log-sum.
"""

from __future__ import annotations

import itertools
import math
import operator
import unicodedata
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.decode._posteriors import BLANK, checked, pixels
from ensemble_htr.decode.forced import viterbi
from ensemble_htr.errors import UsageError
from ensemble_htr.protocols import LanguageModel
from ensemble_htr.types import Hypothesis, Posteriors

__all__ = ["BeamDecoder", "BeamOptions"]


@dataclass(frozen=True, slots=True)
class BeamOptions:
    """How wide to search and how far to believe the language model (strict: fits a TOML table)."""

    beam: int = 16  # prefixes kept after each frame
    n_best: int = 8  # hypotheses returned unless decode() is told otherwise
    alpha: float = 0.6  # weight of the LM's natural-log probabilities; 0 = no LM, no beta either
    beta: float = 1.0  # nats added per token: pays back what the LM takes from longer texts
    end: bool = True  # whether the LM also says how well the line ends where it ends
    symbol_threshold: float = 1e-3  # symbols less probable in a frame are not tried there; 0 = all
    prune: float = 12.0  # nats below the best prefix at which others are dropped; inf = never
    exempt_digits: bool = True  # digits are not weighed by the LM: it cannot know a number
    exempt_runs: bool = True  # nor are runs of one symbol ("....", "---", "xxx" from the third on)
    neutral: float = 0.0  # nats that an exempt token adds in place of alpha * log p + beta

    def __post_init__(self) -> None:
        for name, good, wanted in (
            ("beam", self.beam >= 1, "at least 1"),
            ("n_best", self.n_best >= 1, "at least 1"),
            ("alpha", 0 <= self.alpha < math.inf, "a finite number, 0 or more"),
            ("beta", abs(self.beta) <= 50, "between -50 and 50"),
            ("neutral", abs(self.neutral) <= 50, "between -50 and 50"),
            ("symbol_threshold", 0 <= self.symbol_threshold < 1, "in [0, 1)"),
            ("prune", self.prune > 0, "above 0"),
        ):
            if not good:
                raise UsageError(f"beam options: {name} is {getattr(self, name)}, wanted {wanted}")


class _Context:
    """A state of the language model and what it has said already: token -> (log p, next)."""

    __slots__ = ("end", "next", "state")

    def __init__(self, state: Hashable) -> None:
        self.state = state
        self.next: dict[str, tuple[float, _Context]] = {}
        self.end: float | None = None


class _Memory:
    """The language model behind a cache, so that it is asked once for each (state, token).

    Lines of one document share most short contexts: the cache lives as long as its decoder, and
    starts anew when it holds `limit` answers.
    """

    def __init__(self, lm: LanguageModel, limit: int = 200_000) -> None:
        self._lm = lm
        self._limit = limit
        self._forget()

    def _forget(self) -> None:
        self._size = 0
        self._contexts: dict[Hashable, _Context] = {}

    def start(self) -> _Context:
        if self._size > self._limit:
            self._forget()
        return self._context(self._lm.start())

    def score(self, context: _Context, token: str) -> tuple[float, _Context]:
        answer = context.next.get(token)
        if answer is None:
            logp, state = self._lm.score(context.state, token)
            answer = context.next[token] = logp, self._context(state)
            self._size += 1
        return answer

    def end(self, context: _Context) -> float:
        if context.end is None:
            context.end = self._lm.end(context.state)
        return context.end

    def _context(self, state: Hashable) -> _Context:
        context = self._contexts.get(state)
        if context is None:
            context = self._contexts[state] = _Context(state)
        return context


class _Prefix:
    """A text so far: a node of the tree of all texts that the beam has met in this line.

    ``blank`` and ``label`` are the masses of its paths that end in a blank or in ``column``;
    ``next_*`` collect the masses of the frame being read, whose number is ``frame``.
    """

    __slots__ = (
        *("parent", "column", "token", "context", "factor", "children"),
        *("blank", "label", "mass", "next_blank", "next_label", "frame"),
    )

    blank: float
    label: float
    mass: float  # blank + label
    next_blank: float
    next_label: float

    def __init__(
        self,
        parent: _Prefix | None,
        column: int,
        token: str,
        context: _Context | None,
        factor: float,
    ) -> None:
        self.parent = parent
        self.column = column
        self.token = token
        self.context = context  # the LM's state after this prefix
        self.factor = factor  # exp(what the LM and beta say of the last token)
        self.children: dict[int, _Prefix] = {}
        self.frame = -1  # not read yet: the masses are set when a frame meets the prefix

    def columns(self) -> list[int]:
        columns: list[int] = []
        node = self
        while node.parent is not None:
            columns.append(node.column)
            node = node.parent
        return columns[::-1]


# A candidate is not even weighed if, before the LM speaks, it stands this many nats below a place
# in the next beam; the LM may lift it by some nats of its own over those that hold the places.
_REACH = 1.0
_REACH_LM = 5.0

_by_mass = operator.attrgetter("mass")

_Symbols = list[tuple[int, float]]  # (column, probability), most probable first


class BeamDecoder:
    """Implements `protocols.Decoder`; ``source`` names the hypotheses' row in a network.

    With ``lm=None`` or ``alpha=0`` this is the pure CTC prefix beam (``beta`` has nothing to pay
    back and is silent too); with no pruning and a beam wider than the number of prefixes, scores
    are the exact sums over all paths.
    """

    def __init__(
        self,
        options: BeamOptions | None = None,
        lm: LanguageModel | None = None,
        source: str = "beam",
    ) -> None:
        self.options = options or BeamOptions()
        self.source = source
        self._memory = _Memory(lm) if lm is not None and self.options.alpha > 0 else None

    def decode(self, posteriors: Posteriors, n_best: int | None = None) -> list[Hypothesis]:
        """Distinct texts, best first: at most ``n_best`` (default: the options'), at least one.

        ``score`` is the fused log score. Each token has the log-probability of its best frame and
        the pixels ``(start, end)`` of the frames it holds on the best path of its text. Raises
        `InputError` if the posteriors hold NaN.
        """
        wanted = self.options.n_best if n_best is None else n_best
        if wanted < 1:
            raise UsageError(f"n_best is {wanted}, wanted at least 1")
        logp = checked(posteriors)
        frames = _Frames(logp, self.options.symbol_threshold)
        beam, log_scale = self._search(frames, posteriors.alphabet, max(wanted, self.options.beam))
        chosen: dict[str, tuple[float, list[int]]] = {}  # distinct even if symbols share letters
        for score, prefix in self._finish(beam, log_scale):
            columns = prefix.columns()
            text = "".join(posteriors.alphabet[column - 1] for column in columns)
            if len(chosen) < wanted:
                chosen.setdefault(text, (score, columns))
        return self._hypotheses(posteriors, logp, frames, list(chosen.values()))

    def _search(
        self, frames: _Frames, alphabet: tuple[str, ...], width: int
    ) -> tuple[list[_Prefix], float]:
        """Read all frames; returns the last beam, best first, and the log of its common factor."""
        root = _Prefix(None, BLANK, "", self._memory.start() if self._memory else None, 1.0)
        root.blank, root.label, root.mass = 1.0, 0.0, 1.0
        beam = [root]
        log_scale = 0.0
        margin = math.exp(-self.options.prune)
        reach = math.exp(-(_REACH + _REACH_LM * self.options.alpha * (self._memory is not None)))
        for number, (blank, symbols) in enumerate(frames):
            if not symbols:  # a run of frames that are surely blank: paths only come to rest
                log_scale += blank
                for prefix in beam:
                    prefix.blank, prefix.label = prefix.mass, 0.0
                continue
            floor = max(beam[0].mass * margin, _crowded(beam, blank, symbols, width) * reach)
            met = self._grow(beam, number, blank, symbols, floor, alphabet)
            for prefix in met:
                prefix.blank, prefix.label = prefix.next_blank, prefix.next_label
                prefix.mass = prefix.blank + prefix.label
            met.sort(key=_by_mass, reverse=True)
            best = met[0].mass
            beam = [prefix for prefix in met[:width] if prefix.mass > best * margin]
            if not 1e-100 < best < 1e100 and beam:
                log_scale += math.log(best)
                for prefix in beam:
                    prefix.blank /= best
                    prefix.label /= best
                    prefix.mass /= best
            beam = beam or met[:1]
        return beam, log_scale

    def _grow(
        self,
        beam: list[_Prefix],
        number: int,
        blank: float,
        symbols: _Symbols,
        floor: float,
        alphabet: tuple[str, ...],
    ) -> list[_Prefix]:
        """Read one frame: every prefix stays as it is, or grows by one of ``symbols`` where the
        new path's mass reaches ``floor``. Returns all prefixes met, their masses in ``next_*``."""
        met: list[_Prefix] = []
        for prefix in beam:
            mass = prefix.mass
            if prefix.frame != number:
                prefix.frame = number
                prefix.next_label = 0.0
                met.append(prefix)
            prefix.next_blank = mass * blank
            last = prefix.column
            children = prefix.children
            for column, p in symbols:
                share = mass * p
                if share < floor:
                    break
                if column == last:  # held: the same text; only after a blank it is written twice
                    prefix.next_label += prefix.label * p
                    share = prefix.blank * p
                    if share < floor:
                        continue
                child = children.get(column)
                if child is None:
                    child = children[column] = self._child(prefix, column, alphabet[column - 1])
                if child.frame != number:
                    child.frame = number
                    child.next_blank = 0.0
                    child.next_label = share * child.factor
                    met.append(child)
                else:
                    child.next_label += share * child.factor
        return met

    def _child(self, prefix: _Prefix, column: int, token: str) -> _Prefix:
        """The prefix grown by one token, weighed by the language model."""
        if self._memory is None or prefix.context is None:
            return _Prefix(prefix, column, token, None, 1.0)
        logp, context = self._memory.score(prefix.context, token)
        options = self.options
        fused = options.alpha * logp + options.beta
        if self._exempt(prefix, token):
            fused = options.neutral
        return _Prefix(prefix, column, token, context, math.exp(fused))

    def _exempt(self, prefix: _Prefix, token: str) -> bool:
        """Digits; a repeated sign; a letter from its third in a row on. Never the space."""
        if self.options.exempt_digits and unicodedata.category(token[0]).startswith("N"):
            return True
        if not self.options.exempt_runs or token != prefix.token or token.isspace():
            return False
        return not token.isalpha() or (prefix.parent is not None and prefix.parent.token == token)

    def _finish(self, beam: list[_Prefix], log_scale: float) -> list[tuple[float, _Prefix]]:
        """Log scores of whole lines, best first."""
        scored = []
        for prefix in beam:
            score = log_scale + (math.log(prefix.mass) if prefix.mass > 0 else -math.inf)
            if self.options.end and self._memory is not None and prefix.context is not None:
                score += self.options.alpha * self._memory.end(prefix.context)
            scored.append((score, prefix))
        return sorted(scored, key=operator.itemgetter(0), reverse=True)

    def _hypotheses(
        self,
        posteriors: Posteriors,
        logp: NDArray[np.float64],
        frames: _Frames,
        chosen: list[tuple[float, list[int]]],
    ) -> list[Hypothesis]:
        """Put each text into the image. Runs of surely blank frames count as one there: no text
        of the beam lies on them, and it makes the alignment twice as fast."""
        rows = frames.rows
        aligned = viterbi(logp[rows], [columns for _, columns in chosen])
        return [
            Hypothesis(
                self.source,
                tuple(posteriors.alphabet[column - 1] for column in columns),
                tuple(stay.peak for stay in stays),
                tuple(pixels(posteriors, rows[stay.first], rows[stay.last]) for stay in stays),
                score,
                lm=self._memory is not None,
            )
            for (score, columns), stays in zip(chosen, aligned, strict=True)
        ]


def _crowded(beam: list[_Prefix], blank: float, symbols: _Symbols, width: int) -> float:
    """A mass that at least ``width`` candidates of the next beam reach (LM aside), or 0.

    The best n prefixes times the best m choices (symbols, or to stay) are n * m candidates, none
    below the n-th mass times the m-th probability: the best such bound with n * m >= width.
    """
    choices = sorted([blank, *(p for _, p in symbols)], reverse=True)
    bound = 0.0
    for m, p in enumerate(choices[:width], start=1):
        n = -(-width // m)
        if n <= len(beam):
            bound = max(bound, beam[n - 1].mass * p)
    return bound


class _Frames:
    """The frames as the search reads them: ``(probability of the blank, symbols)``; a run of frames
    that are surely blank (no symbol reaches the threshold) is read as one:
    ``(log-probability of its blanks, [])``.

    ``rows`` are the frames that matter to an alignment: of such a run only the first.
    """

    def __init__(self, logp: NDArray[np.float64], threshold: float) -> None:
        prob = np.exp(logp)
        needed = np.minimum(threshold, prob.max(axis=1))  # a frame's best symbol is always tried
        kept: NDArray[np.bool_] = prob[:, 1:] >= needed[:, None]
        sure: NDArray[np.bool_] = np.asarray(~kept.any(axis=1))
        self._blank = prob[:, BLANK].tolist()
        self._log_blank = logp[:, BLANK].tolist()
        self._symbols: list[_Symbols] = [[] for _ in sure]
        frames, symbols = kept.nonzero()
        columns = symbols + 1
        order = np.lexsort((columns, -prob[frames, columns], frames))
        frames, columns = frames[order], columns[order]
        for frame, column, p in zip(
            frames.tolist(), columns.tolist(), prob[frames, columns].tolist(), strict=True
        ):
            self._symbols[frame].append((column, p))
        begins = ~sure
        begins[:1] = True
        begins[1:] |= ~sure[:-1]
        self.rows: list[int] = np.flatnonzero(begins).tolist()

    def __iter__(self) -> Iterator[tuple[float, _Symbols]]:
        for row, stop in itertools.pairwise([*self.rows, len(self._symbols)]):
            if self._symbols[row]:
                yield self._blank[row], self._symbols[row]
            else:
                yield sum(self._log_blank[row:stop]), []
