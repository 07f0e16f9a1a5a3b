"""From the readings of one line to one confusion network.

The way of a line: the distinct strings of all rows are put in canonical order; what all share at
both ends is set aside; the middles are aligned one after another to the profile of those before
(or exactly, for three short ones) and each once more to all the others; the alternatives are then
threaded through the finished network, each beside the path that it resembles most; at last every
arc is told which engine took it and how sure that engine was.

The structure is a function of the *set* of strings, the evidence of the set of hypotheses: the
order of the input changes nothing at all. Costs and order of importance: space against letter 2,
one leave-one-out round, case and accents 1/2 (sum-of-pairs progressive alignment after Feng &
Doolittle 1987; confusion networks after Mangu, Brill & Stolcke 2000).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Postfix, Prefix

from ensemble_htr.align import compiled
from ensemble_htr.align.costs import AlignOptions, Costs
from ensemble_htr.align.evidence import build_slots, check, ranked
from ensemble_htr.align.exact import align_three
from ensemble_htr.align.profile import INSERT, MATCH, SKIP, Profile, columns_of, solve
from ensemble_htr.align.quarantine import strangers
from ensemble_htr.types import EPSILON, ConfusionNetwork, Hypothesis

__all__ = ["SumOfPairsAligner", "align_strings", "sum_of_pairs"]

Tokens = tuple[str, ...]
Path = list[str]  # a token or EPSILON for every slot


class SumOfPairsAligner:
    """Aligns all readings of a line into one character (or word) confusion network.

    Every hypothesis that is not quarantined (see `quarantine.strangers`; its alternatives go with
    it) is a path of the network, kept in ``network.rows``: a row under its source, the
    k-th alternative of a source (best score first, then by text) under ``source#k``. Arcs stand in
    the order of their votes. Evidence on arcs, each key only where its voice takes the arc:

    * ``vote:SOURCE``: the row's confidence in its token (exp of the log-probability, 1.0 if it gave
      none); where the row is empty, the mean confidence of its nearest tokens on either side.
    * ``mass:SOURCE``: the share of the engine's n-best probability (softmax of the scores of its
      row and alternatives over `AlignOptions.temperature`, a string counted once with its best
      score) that takes the arc; equal shares where a hypothesis of the engine has no score.
    """

    def __init__(self, options: AlignOptions = AlignOptions()) -> None:  # noqa: B008 (frozen)
        self.options = options
        self._costs = Costs(options)

    def align(
        self,
        hypotheses: Sequence[Hypothesis],
        alternatives: Sequence[Hypothesis] = (),
        proposals: Sequence[Hypothesis] = (),
    ) -> ConfusionNetwork:
        """Align one hypothesis per engine, further hypotheses of the same engines, and proposals of
        others that do not vote (they become alternatives of a source that has no row).

        No hypotheses give an empty network. Raises `UsageError` if two rows share a source, an
        alternative belongs to no row, a proposal to one, or a key would be used twice, `InputError`
        for an empty token.
        """
        check(hypotheses, alternatives, proposals)
        rows = sorted(hypotheses, key=lambda h: h.source)
        away: frozenset[str] = strangers(rows) if self.options.quarantine else frozenset()
        left = {row.source: row.text for row in rows if row.source in away}
        rows = [row for row in rows if row.source not in away]
        if not rows:
            proposals = ()
        ranks = ranked([*(h for h in alternatives if h.source not in away), *proposals])
        paths = align_strings([h.tokens for h in rows], self.options, self._costs)
        if new := sorted({h.tokens for h in ranks.values()} - paths.keys()):
            paths = thread_strings(
                paths, Counter(h.tokens for h in rows), new, self.options, self._costs
            )
        final = {tokens: tuple(path) for tokens, path in paths.items()}
        keyed = {h.source: h for h in rows} | ranks
        slots = build_slots(rows, ranks, final, self.options.temperature)
        kept = {key: final[h.tokens] for key, h in keyed.items()}
        return ConfusionNetwork(slots, kept, quarantined=left)


def align_strings(
    strings: Iterable[Tokens], options: AlignOptions, costs: Costs
) -> dict[Tokens, Path]:
    """A path for every distinct string, all of one length; no slot is empty in all of them."""
    weights = Counter(strings)
    order = sorted(weights, key=lambda tokens: (-weights[tokens], tokens))
    head = _shared(order)
    tail = _shared([tokens[head:][::-1] for tokens in order])
    middles = [tokens[head : len(tokens) - tail] for tokens in order]
    shares = [weights[tokens] for tokens in order]
    cells = 1
    for middle in middles:
        cells *= len(middle) + 1
    exact = len(middles) == 3 and cells <= options.exact_cells
    paths = None
    if len(middles) > 1 and compiled.pays(middles, options):
        paths = compiled.align(middles, shares, options, exact)
    if paths is None:
        paths = _plain(middles, shares, options, costs, exact)
    return {
        tokens: [*tokens[:head], *path, *tokens[len(tokens) - tail :]]
        for tokens, path in zip(order, paths, strict=True)
    }


def thread_strings(
    paths: dict[Tokens, Path],
    weights: Counter[Tokens],
    strings: Sequence[Tokens],
    options: AlignOptions,
    costs: Costs,
) -> dict[Tokens, Path]:
    """The ``paths`` of rows and of further strings that have no vote, all of one length."""
    found = None
    if compiled.threading_pays(len(strings)):
        found = compiled.thread(paths, [weights[tokens] for tokens in paths], strings, options)
    if found is None:
        draft = _Draft.of(dict(paths), weights)
        for tokens in strings:
            draft.thread(tokens, costs, options)
        found = draft.paths
    return found


def _plain(
    strings: Sequence[Tokens],
    weights: Sequence[int],
    options: AlignOptions,
    costs: Costs,
    exact: bool,
) -> list[Path]:
    if exact:
        return align_three(strings, weights, costs)
    paths = _progressive(strings, weights, options, costs)
    for _ in range(options.refine if len(strings) > 2 else 0):
        paths = _refine(strings, paths, weights, options, costs)
    return paths


def sum_of_pairs(paths: Sequence[Sequence[str]], weights: Sequence[int], costs: Costs) -> int:
    """The cost of an alignment (in 1/64): summed over slots and pairs of rows."""
    total = 0
    for column in columns_of(paths, weights):
        tokens = list(column.items())
        for i, (a, m) in enumerate(tokens):
            total += sum(m * n * costs.pair(a, b) for b, n in tokens[:i])
    return total


def _shared(strings: Sequence[Tokens]) -> int:
    """How many tokens all strings have in common at their start."""
    if not strings:
        return 0
    return Prefix.similarity(min(strings), max(strings))


def _progressive(
    strings: Sequence[Tokens], weights: Sequence[int], options: AlignOptions, costs: Costs
) -> list[Path]:
    paths: list[Path] = []
    for count, tokens in enumerate(strings):
        if count == 0:
            paths.append(list(tokens))
            continue
        profile = Profile(columns_of(paths, weights[:count]), sum(weights[:count]), costs)
        paths = _joined(paths, tokens, solve(tokens, profile, options)[1])
    return paths


def _joined(paths: Sequence[Path], tokens: Tokens, moves: Sequence[int]) -> list[Path]:
    """The paths with new slots opened where ``tokens`` needs them, and the path of ``tokens``."""
    opened = [_opened(path, moves) for path in paths]
    rest = iter(tokens)
    return [*opened, [EPSILON if move == SKIP else next(rest) for move in moves]]


def _opened(path: Path, moves: Sequence[int]) -> Path:
    if INSERT not in moves:
        return path
    rest = iter(path)
    return [EPSILON if move == INSERT else next(rest) for move in moves]


def _refine(
    strings: Sequence[Tokens],
    paths: list[Path],
    weights: Sequence[int],
    options: AlignOptions,
    costs: Costs,
) -> list[Path]:
    """Take out one string after another and align it anew to all others, if that is cheaper."""
    for index, tokens in enumerate(strings):
        others = [path for i, path in enumerate(paths) if i != index]
        shares = [weight for i, weight in enumerate(weights) if i != index]
        columns = columns_of(others, shares)
        now = sum(
            weight * costs.pair(token, other)
            for token, column in zip(paths[index], columns, strict=True)
            for other, weight in column.items()
        )
        kept = [j for j, column in enumerate(columns) if column.keys() != {EPSILON}]
        profile = Profile([columns[j] for j in kept], sum(shares), costs)
        cost, moves = solve(tokens, profile, options)
        if cost < now:
            joined = _joined([[path[j] for j in kept] for path in others], tokens, moves)
            paths = [*joined[:index], joined[-1], *joined[index:-1]]
    return paths


@dataclass(slots=True)
class _Draft:
    """A network under construction. ``columns`` counts the rows only (the votes), ``seen`` holds
    the tokens of every path; all paths, columns and seen have one length."""

    paths: dict[Tokens, Path]
    columns: list[dict[str, int]]
    seen: list[set[str]]
    rows: int

    @classmethod
    def of(cls, paths: dict[Tokens, Path], weights: Counter[Tokens]) -> _Draft:
        columns = columns_of(list(paths.values()), [weights[tokens] for tokens in paths])
        return cls(paths, columns, [set(column) for column in columns], weights.total())

    def thread(self, tokens: Tokens, costs: Costs, options: AlignOptions) -> None:
        """Add a path for ``tokens``: beside the nearest path outside of the changed middle,
        cheapest against the rows within it."""
        twin, head, tail = self._nearest(tokens)
        head, tail = max(0, head - options.margin), max(0, tail - options.margin)
        path = self.paths[twin]
        places = [slot for slot, token in enumerate(path) if token != EPSILON]
        low = places[head - 1] + 1 if head else 0
        high = places[len(twin) - tail] if tail else len(path)
        middle = tokens[head : len(tokens) - tail]
        profile = Profile(self.columns[low:high], self.rows, costs, self.seen[low:high])
        moves = solve(middle, profile, options)[1]
        new = [*path[:low], *_joined((), middle, moves)[0], *path[high:]]
        if INSERT in moves:
            wide = [*[MATCH] * low, *moves, *[MATCH] * (len(path) - high)]
            self._open([slot for slot, move in enumerate(wide) if move == INSERT], wide)
        for seen, token in zip(self.seen, new, strict=True):
            seen.add(token)
        self.paths[tokens] = new

    def _nearest(self, tokens: Tokens) -> tuple[Tokens, int, int]:
        """The string in the network that shares the most tokens with ``tokens`` at both ends, and
        how many it shares at the start and at the end; the earliest of equals."""
        best: tuple[int, Tokens, int, int] | None = None
        for twin in self.paths:
            head = Prefix.similarity(tokens, twin)
            tail = min(Postfix.similarity(tokens, twin), len(tokens) - head, len(twin) - head)
            changed = max(len(tokens), len(twin)) - head - tail
            if best is None or changed < best[0]:
                best = (changed, twin, head, tail)
                if changed == 1:
                    break
        assert best is not None  # there is at least one row
        return best[1:]

    def _open(self, slots: Sequence[int], moves: Sequence[int]) -> None:
        """Open new slots, empty on all paths so far, at the given places of the new network."""
        self.paths = {tokens: _opened(path, moves) for tokens, path in self.paths.items()}
        for slot in slots:  # ascending, so that earlier openings have shifted the later ones
            self.columns.insert(slot, {EPSILON: self.rows})
            self.seen.insert(slot, {EPSILON})
