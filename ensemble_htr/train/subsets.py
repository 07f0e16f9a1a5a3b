"""A line as fewer engines would have read it, or engines that are more or less sure of themselves.

Training on such lines too makes one scorer serve any subset of engines, and those whose
confidences it has never met (modality dropout: Neverova et al., 2016).
"""

from __future__ import annotations

import random
from dataclasses import replace

from ensemble_htr.combine.case import Case, numbered, taken_by
from ensemble_htr.train.judge import Item
from ensemble_htr.types import Arc, ConfusionNetwork, Slot

__all__ = ["hearing", "tempered", "varied"]

_TEMPERATURES = (0.4, 0.7, 1.5, 2.5)  # exponents on the confidences of an engine


def varied(item: Item, seed: int) -> Item | None:
    """Another line made of this one, the same for the same ``seed``; None for every other line."""
    if seed % 2:
        return None
    draw = random.Random(seed)
    case = item.case
    if len(case.engines) > 1:
        keep = draw.sample(case.engines, draw.randrange(1, len(case.engines) + 1))
        case = hearing(case, frozenset(keep))
    exponents = {e: draw.choice(_TEMPERATURES) for e in case.engines}
    return replace(item, case=tempered(case, exponents))


def hearing(case: Case, keep: frozenset[str]) -> Case:
    """The case without what other engines than ``keep`` read, saw or made possible; a recognizer
    speaks under its engine's name. The engines must be some of the case's."""
    rows = {k: row for k, row in case.network.rows.items() if k.partition("#")[0] in keep}
    seen = [{row[i] for row in rows.values()} for i in range(len(case.network.slots))]
    gone = {f"{kind}:{e}" for e in case.engines if e not in keep for kind in ("vote", "mass")}
    slots = tuple(
        Slot(
            tuple(
                Arc(a.token, {k: v for k, v in a.evidence.items() if k not in gone})
                for a in slot.arcs
                if a.token in known
            )
        )
        for slot, known in zip(case.network.slots, seen, strict=True)
    )
    paths = [
        i
        for i, path in enumerate(case.paths)
        if all(token in known for token, known in zip(path, seen, strict=True))
    ]
    left = tuple(case.paths[i] for i in paths)
    network = ConfusionNetwork(slots, rows, case.network.level)
    numbers = numbered(network)
    engines = [i for i, e in enumerate(case.engines) if e in keep]
    nets = [i for i, k in enumerate(case.nets) if k in keep or k not in case.engines]
    return replace(
        case,
        network=network,
        engines=tuple(case.engines[i] for i in engines),
        numbers=numbers,
        paths=left,
        taken=taken_by(left, numbers),
        votes=case.votes[paths][:, engines],
        nets=tuple(case.nets[i] for i in nets),
        images=case.images[paths][:, nets],
        language=case.language[paths],
        length=case.length[paths],
        said=case.said[paths],
        surprise=case.surprise[paths],
    )


def tempered(case: Case, exponents: dict[str, float]) -> Case:
    """The case with each engine's votes raised to its exponent: flatter below 1, sharper above."""
    votes = case.votes.copy()
    tables = []
    slots = []
    for slot in case.network.slots:
        arcs = []
        for arc in slot.arcs:
            says = dict(arc.evidence)
            for engine, exponent in exponents.items():
                if (key := f"vote:{engine}") in says:
                    says[key] **= exponent
            arcs.append(Arc(arc.token, says))
        slots.append(Slot(tuple(arcs)))
        tables.append({a.token: a.evidence for a in arcs})
    for j, engine in enumerate(case.engines):
        for i, path in enumerate(case.paths):
            said = (
                table[t].get(f"vote:{engine}", 0.0) for table, t in zip(tables, path, strict=True)
            )
            votes[i, j] = sum(said)
    return replace(case, network=replace(case.network, slots=tuple(slots)), votes=votes)
