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
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.decode import compiled
from ensemble_htr.decode._fusion import Context, Fusion
from ensemble_htr.decode._posteriors import BLANK, checked, pixels
from ensemble_htr.decode.forced import viterbi
from ensemble_htr.errors import UsageError
from ensemble_htr.protocols import LanguageModel, TabularLanguageModel
from ensemble_htr.text import is_run
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
    prune: float = 6.0  # nats below the best prefix at which others are dropped; inf = never
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


class _Prefix:
    """A text so far: a node of the tree of all texts that the beam has met in this line.

    ``blank`` and ``label`` are the masses of its paths that end in a blank or in ``column``;
    ``next_*`` collect the masses of the frame being read, whose number is ``frame``. Nodes know
    their parents only (children are found by ``key + column`` in the tree's one dictionary): no
    reference cycles, so a line's tree is freed at once and the garbage collector has no work.
    """

    __slots__ = (
        *("parent", "column", "key", "context", "factor"),
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
        key: int,
        context: Context | None,
        factor: float,
    ) -> None:
        self.parent = parent
        self.column = column
        self.key = key
        self.context = context  # of the LM after this prefix
        self.factor = factor  # exp(what the LM and beta say of the last token)
        self.frame = -1  # not met yet: a frame that meets the prefix sets its masses

    def columns(self) -> list[int]:
        """The text, as columns of the posteriors."""
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

_WARM = 64  # lines that plain Python has read by the time that numba would be loaded
_LINES = itertools.count()  # that this process has read

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
        self.options = o = options or BeamOptions()
        self.source = source
        self._fusion: Fusion | None = None
        self._lm = lm if o.alpha > 0 else None
        self._symbols: dict[tuple[str, ...], compiled.Symbols] = {}
        if lm is not None and o.alpha > 0:
            self._fusion = Fusion(lm, o.alpha, o.beta, o.neutral, o.exempt_digits)

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
        width = max(wanted, self.options.beam)
        found = self._compiled(frames, posteriors.alphabet, width)
        if found is None:
            search = _Search(self.options, self._fusion, posteriors.alphabet, width)
            found = self._finish(*search.read(frames))
        chosen: dict[str, tuple[float, list[int]]] = {}  # distinct even if symbols share letters
        for score, columns in found:
            text = "".join(posteriors.alphabet[column - 1] for column in columns)
            if len(chosen) < wanted:
                chosen.setdefault(text, (score, columns))
        return self._hypotheses(posteriors, logp, frames, list(chosen.values()))

    def _compiled(
        self, frames: _Frames, alphabet: tuple[str, ...], width: int
    ) -> list[tuple[float, list[int]]] | None:
        """What the compiled search finds, or None where it is not to be had (or not worth it)."""
        lm, o = self._lm, self.options
        if next(_LINES) < _WARM:
            return None
        if lm is not None and not isinstance(lm, TabularLanguageModel):
            return None
        if (kernel := compiled.kernel()) is None:
            return None
        if alphabet not in self._symbols:
            self._symbols[alphabet] = compiled.symbols(alphabet, lm, o.exempt_digits, o.exempt_runs)
        alpha = 0.0 if lm is None else o.alpha
        reach = math.exp(-(_REACH if lm is None else _REACH + _REACH_LM * alpha))
        limits = compiled.Limits(width, math.exp(-o.prune), reach, alpha, o.beta, o.neutral)
        return compiled.decode(
            kernel, frames.arrays(), self._symbols[alphabet], limits, lm, alpha if o.end else 0.0
        )

    def _finish(self, beam: list[_Prefix], log_scale: float) -> list[tuple[float, list[int]]]:
        """Log scores of whole lines with their columns, best first."""
        scored = []
        for prefix in beam:
            score = log_scale + (math.log(prefix.mass) if prefix.mass > 0 else -math.inf)
            if self.options.end and self._fusion is not None and prefix.context is not None:
                score += self._fusion.end(prefix.context)
            scored.append((score, prefix.columns()))
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
                lm=self._fusion is not None,
            )
            for (score, columns), stays in zip(chosen, aligned, strict=True)
        ]


class _Search:
    """The search through one line."""

    def __init__(
        self, options: BeamOptions, fusion: Fusion | None, alphabet: tuple[str, ...], width: int
    ) -> None:
        self._fusion = fusion
        self._tokens = ("", *alphabet)  # column -> token
        self._width = width
        self._margin = math.exp(-options.prune)
        self._reach = math.exp(-(_REACH if fusion is None else _REACH + _REACH_LM * options.alpha))
        self._exempt_runs = options.exempt_runs
        self._neutral = math.exp(options.neutral)
        self._tree: dict[int, _Prefix] = {}

    def read(self, frames: _Frames) -> tuple[list[_Prefix], float]:
        """Read all frames; returns the last beam, best first, and the log of its common factor."""
        root = _Prefix(None, BLANK, 0, self._fusion.start() if self._fusion else None, 1.0)
        root.blank, root.label, root.mass = 1.0, 0.0, 1.0
        beam = [root]
        log_scale = 0.0
        for number, (blank, symbols) in enumerate(frames):
            if not symbols:  # a run of frames that are surely blank: paths only come to rest
                log_scale += blank
                for prefix in beam:
                    prefix.blank, prefix.label = prefix.mass, 0.0
                continue
            met = self._grow(beam, number, blank, symbols)
            for prefix in met:
                prefix.blank = prefix.next_blank
                prefix.label = prefix.next_label
                prefix.mass = prefix.blank + prefix.label
            met.sort(key=_by_mass, reverse=True)
            best = met[0].mass
            floor = best * self._margin
            beam = [prefix for prefix in met[: self._width] if prefix.mass > floor] or met[:1]
            if best > 0 and not 1e-100 < best < 1e100:
                log_scale += math.log(best)
                for prefix in beam:
                    prefix.blank /= best
                    prefix.label /= best
                    prefix.mass /= best
        return beam, log_scale

    def _grow(
        self, beam: list[_Prefix], number: int, blank: float, symbols: _Symbols
    ) -> list[_Prefix]:
        """Read one frame: every prefix stays as it is, and grows by each of ``symbols`` where
        that brings enough mass. Returns all prefixes met, their masses in ``next_*``."""
        crowded = _crowded(beam, blank, symbols, self._width)
        floor = max(beam[0].mass * self._margin, crowded * self._reach)
        tree = self._tree
        met: list[_Prefix] = []
        for prefix in beam:
            mass, last, key = prefix.mass, prefix.column, prefix.key
            prefix.next_blank = mass * blank
            if prefix.frame != number:
                prefix.frame = number
                prefix.next_label = 0.0
                met.append(prefix)
            for column, p in symbols:
                share = mass * p
                if share < floor:
                    break
                if column == last:  # held: the same text; only after a blank it is written twice
                    prefix.next_label += prefix.label * p
                    share = prefix.blank * p
                    if share < floor:
                        continue
                child = tree.get(key + column)
                if child is None:
                    child = tree[key + column] = self._child(prefix, column)
                if child.frame != number:
                    child.frame = number
                    child.next_blank = 0.0
                    child.next_label = share * child.factor
                    met.append(child)
                else:
                    child.next_label += share * child.factor
        return met

    def _child(self, prefix: _Prefix, column: int) -> _Prefix:
        """The prefix grown by one token, weighed by the language model."""
        key = (len(self._tree) + 1) * len(self._tokens)
        if self._fusion is None or prefix.context is None:
            return _Prefix(prefix, column, key, None, 1.0)
        factor, context = self._fusion.ask(prefix.context, self._tokens[column])
        if column == prefix.column and self._exempt_runs and self._is_run(prefix):
            factor = self._neutral
        return _Prefix(prefix, column, key, context, factor)

    def _is_run(self, prefix: _Prefix) -> bool:
        """Whether to write the last token once more makes a run."""
        twice = prefix.parent is not None and prefix.parent.column == prefix.column
        return is_run(self._tokens[prefix.column], 3 if twice else 2)


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
        self._logp = logp
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
        self._found = frames, columns.astype(np.int32), prob[frames, columns]

    def arrays(self) -> compiled.FrameArrays:
        """The same for compiled code."""
        frames, columns, probs = self._found
        rows = np.asarray(self.rows, np.int64)
        start = np.searchsorted(frames, np.append(rows, len(self._symbols)))
        idle = np.add.reduceat(self._logp[:, BLANK], rows) if len(rows) else np.zeros(0)
        return np.exp(self._logp[rows, BLANK]), start, columns, probs, idle

    def __iter__(self) -> Iterator[tuple[float, _Symbols]]:
        for row, stop in itertools.pairwise([*self.rows, len(self._symbols)]):
            if self._symbols[row]:
                yield self._blank[row], self._symbols[row]
            else:
                yield sum(self._log_blank[row:stop]), []
