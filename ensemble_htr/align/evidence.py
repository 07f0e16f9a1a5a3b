"""What the engines say of each arc: votes with confidences, and n-best probability mass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ensemble_htr.errors import InputError, UsageError
from ensemble_htr.types import EPSILON, Arc, Hypothesis, Slot

__all__ = ["build_slots", "check", "masses", "ranked", "vote_confidences"]

Tokens = tuple[str, ...]


def check(rows: Sequence[Hypothesis], alternatives: Sequence[Hypothesis]) -> None:
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
    for hypothesis in (*rows, *alternatives):
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
    sure = [_probability(logp) for logp in row.logprobs]
    votes: list[float] = []
    used = 0
    for token in path:
        if token == EPSILON:
            around = sure[max(0, used - 1) : used + 1]
            votes.append(sum(around) / len(around))
        else:
            votes.append(sure[used])
            used += 1
    return votes


def _probability(logp: float) -> float:
    return 0.0 if math.isnan(logp) else math.exp(min(0.0, logp))


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
    columns = list(zip(*paths.values(), strict=True))
    counts: list[dict[str, list[int]]] = [
        {token: [0, column.count(token)] for token in column} for column in columns
    ]
    evidence: list[dict[str, dict[str, float]]] = [
        {token: {} for token in column} for column in counts
    ]
    grouped: dict[str, list[Hypothesis]] = {row.source: [row] for row in rows}
    for hypothesis in alternatives.values():
        grouped[hypothesis.source].append(hypothesis)
    for row in rows:
        path = paths[row.tokens]
        for slot, (token, vote) in enumerate(zip(path, vote_confidences(row, path), strict=True)):
            evidence[slot][token][f"vote:{row.source}"] = vote
            counts[slot][token][0] += 1
    for source, hypotheses in grouped.items():
        _add_mass(evidence, f"mass:{source}", masses(hypotheses, temperature), paths)
    return tuple(
        Slot(tuple(Arc(token, said[token]) for token in _ordered(count)))
        for count, said in zip(counts, evidence, strict=True)
    )


def _ordered(count: Mapping[str, Sequence[int]]) -> list[str]:
    return sorted(count, key=lambda t: (-count[t][0], -count[t][1], t == EPSILON, t))


def _add_mass(
    evidence: Sequence[dict[str, dict[str, float]]],
    key: str,
    shares: Mapping[Tokens, float],
    paths: Mapping[Tokens, Sequence[str]],
) -> None:
    threads = [(paths[tokens], share) for tokens, share in shares.items()]
    for slot, arcs in enumerate(evidence):
        if len(arcs) == 1:
            next(iter(arcs.values()))[key] = 1.0
            continue
        for path, share in threads:
            said = arcs[path[slot]]
            said[key] = min(1.0, said.get(key, 0.0) + share)
