"""What the engines say of each arc: votes with confidences, and n-best probability mass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ensemble_htr.errors import InputError, UsageError
from ensemble_htr.types import EPSILON, Arc, Hypothesis, Slot

__all__ = ["build_slots", "check", "masses", "ranked", "vote_confidences"]

Tokens = tuple[str, ...]


def check(
    rows: Sequence[Hypothesis],
    alternatives: Sequence[Hypothesis],
    proposals: Sequence[Hypothesis] = (),
) -> None:
    """Raises `UsageError` for sources that clash, `InputError` for a token without a character."""
    sources: set[str] = set()
    for row in rows:
        if row.source in sources:
            raise UsageError(
                f"two rows to align are called '{row.source}': give every engine its own name"
            )
        sources.add(row.source)
    for other in alternatives:
        if other.source not in sources:
            raise UsageError(
                f"an alternative of '{other.source}' came without a row of that engine: "
                "give its best reading as a row"
            )
    for proposed in proposals:
        if proposed.source in sources:
            raise UsageError(f"engine name '{proposed.source}' is taken: call the engine otherwise")
    for hypothesis in (*rows, *alternatives, *proposals):
        if EPSILON in hypothesis.tokens:
            raise InputError(
                f"engine '{hypothesis.source}' gave an empty token at position "
                f"{hypothesis.tokens.index(EPSILON)}: drop empty tokens before aligning"
            )
    for key in sorted(sources & ranked(alternatives).keys()):
        raise UsageError(
            f"engine name '{key}' is also the key of an alternative: use a name without '#'"
        )


def ranked(alternatives: Sequence[Hypothesis]) -> dict[str, Hypothesis]:
    """Alternatives under their keys ``source#k``, k = 1.. by score (best first), then by text."""
    keyed: dict[str, Hypothesis] = {}
    count: dict[str, int] = {}
    for hypothesis in sorted(alternatives, key=_rank):
        count[hypothesis.source] = rank = count.get(hypothesis.source, 0) + 1
        keyed[f"{hypothesis.source}#{rank}"] = hypothesis
    return keyed


def _rank(hypothesis: Hypothesis) -> tuple[str, float, Tokens]:
    score = hypothesis.score
    known = score is not None and not math.isnan(score)
    return hypothesis.source, -score if known and score is not None else math.inf, hypothesis.tokens


def vote_confidences(row: Hypothesis, path: Sequence[str]) -> list[float]:
    """The row's confidence in [0, 1] for what it takes in every slot (see `SumOfPairsAligner`)."""
    if row.logprobs is None or not row.tokens:
        return [1.0] * len(path)
    exp = math.exp
    sure = [exp(p) if p < 0.0 else float(p >= 0.0) for p in row.logprobs]  # NaN: 0
    if len(path) == len(sure):
        return sure
    rest = iter(sure)
    votes = [next(rest) if token else 0.0 for token in path]
    slot = -1
    for gaps in range(len(path) - len(sure)):
        slot = path.index(EPSILON, slot + 1)
        around = sure[max(0, slot - gaps - 1) : slot - gaps + 1]
        votes[slot] = sum(around) / len(around)
    return votes


def masses(hypotheses: Sequence[Hypothesis], temperature: float) -> dict[Tokens, float]:
    """The share of each distinct string in one engine's n-best; shares sum to one."""
    scores: dict[Tokens, float] = {}
    unknown = False
    for hypothesis in sorted(hypotheses, key=lambda h: h.tokens):
        score = hypothesis.score
        if score is None or math.isnan(score):
            unknown = True
            score = -math.inf
        scores[hypothesis.tokens] = max(score, scores.get(hypothesis.tokens, -math.inf))
    best = max(scores.values())
    if unknown or math.isinf(best):
        return {tokens: 1.0 / len(scores) for tokens in scores}
    shares = {tokens: math.exp((score - best) / temperature) for tokens, score in scores.items()}
    total = sum(shares.values())
    return {tokens: share / total for tokens, share in shares.items()}


def build_slots(
    rows: Sequence[Hypothesis],
    alternatives: Mapping[str, Hypothesis],
    paths: Mapping[Tokens, Sequence[str]],
    temperature: float,
) -> tuple[Slot, ...]:
    """The slots of the network: arcs ordered by rows, then by distinct alternatives that take them,
    then tokens before epsilon, then by token; with the evidence described at `SumOfPairsAligner`.
    """
    if not paths:
        return ()
    grouped: dict[str, list[Hypothesis]] = {row.source: [row] for row in rows}
    for hypothesis in alternatives.values():
        grouped.setdefault(hypothesis.source, []).append(hypothesis)
    threads = [
        (f"mass:{source}", [(paths[t], share) for t, share in masses(each, temperature).items()])
        for source, each in grouped.items()
    ]
    ways = [paths[row.tokens] for row in rows]
    votes = [vote_confidences(row, way) for row, way in zip(rows, ways, strict=True)]
    keys = tuple(f"vote:{row.source}" for row in rows)
    agreed, ones = (*keys, *(key for key, _ in threads)), (1.0,) * len(threads)
    slots: list[Slot] = []
    columns = zip(*paths.values(), strict=True)
    for slot, (column, taken, sure) in enumerate(
        zip(columns, zip(*ways, strict=True), zip(*votes, strict=True), strict=True)
    ):
        token = column[0]
        if column.count(token) == len(column):
            arc = Arc(token, dict(zip(agreed, sure + ones, strict=True)))
            slots.append(Slot((arc,)))
            continue
        said: dict[str, dict[str, float]] = {t: {} for t in _ordered(taken, column)}
        for key, token, vote in zip(keys, taken, sure, strict=True):
            said[token][key] = vote
        _add_masses(said, slot, threads)
        slots.append(Slot(tuple([Arc(t, evidence) for t, evidence in said.items()])))
    return tuple(slots)


def _ordered(taken: Sequence[str], column: Sequence[str]) -> list[str]:
    def rank(token: str) -> tuple[int, int, bool, str]:
        return -taken.count(token), -column.count(token), token == EPSILON, token

    return sorted(set(column), key=rank)


def _add_masses(
    said: Mapping[str, dict[str, float]],
    slot: int,
    threads: Sequence[tuple[str, Sequence[tuple[Sequence[str], float]]]],
) -> None:
    for key, ways in threads:
        if len(ways) == 1:
            said[ways[0][0][slot]][key] = 1.0
            continue
        for path, share in ways:
            evidence = said[path[slot]]
            evidence[key] = min(1.0, evidence.get(key, 0.0) + share)
