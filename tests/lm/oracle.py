"""Modified Kneser-Ney by its definition: dictionaries, recursion, no packing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

Gram = tuple[str, ...]


def adjusted_counts(lines: Sequence[Sequence[str]], order: int) -> list[dict[Gram, int]]:
    """Per order the counts to estimate from: continuation counts below the highest order."""
    raw: list[Counter[Gram]] = [Counter() for _ in range(order + 1)]
    for line in lines:
        padded = ("<s>", *line, "</s>")
        for n in range(1, order + 1):
            raw[n].update(padded[i : i + n] for i in range(len(padded) - n + 1))
    tables: list[dict[Gram, int]] = [{}]
    for n in range(1, order + 1):
        table = {}
        for gram, times in raw[n].items():
            left = {longer[0] for longer in raw[n + 1] if longer[1:] == gram} if n < order else None
            table[gram] = times if left is None or gram[0] == "<s>" else len(left)
        table.pop(("<s>",), None)
        tables.append(table)
    return tables


def discount(table: dict[Gram, int], count: int) -> float:
    n = [sum(1 for c in table.values() if c == k) for k in range(5)]
    if 0 in n[1:4]:
        found = [0.5, 1.0, 1.5]
    else:
        y = n[1] / (n[1] + 2 * n[2])
        found = [k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3)]
        if any(not 0 < d <= k for k, d in enumerate(found, start=1)):
            found = [0.5, 1.0, 1.5]
    return found[min(count, 3) - 1]


def probability(tables: list[dict[Gram, int]], context: Gram, token: str, vocabulary: int) -> float:
    """p(token | context) where ``vocabulary`` counts <unk> and </s> but not <s>."""
    table = tables[len(context) + 1]
    followers = {g: c for g, c in table.items() if g[:-1] == context}
    if context:
        lower = probability(tables, context[1:], token, vocabulary)
    else:
        lower = 1.0 / vocabulary
    if not followers:
        return lower
    total = sum(followers.values())
    own = followers.get((*context, token), 0)
    kept = own - discount(table, own) if own else 0.0
    freed = sum(discount(table, c) for c in followers.values())
    return kept / total + freed / total * lower
