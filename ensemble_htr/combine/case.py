"""A line as the judge sees it: its rival paths, and what every voice says of each as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.combine.language import Speaker
from ensemble_htr.combine.model import Mode
from ensemble_htr.combine.words import Sight
from ensemble_htr.protocols import TextVoice
from ensemble_htr.types import EPSILON, ConfusionNetwork

__all__ = [
    "Case",
    "Heard",
    "Texts",
    "arc_mass",
    "floored",
    "joined",
    "mass_by_number",
    "numbered",
    "sight_of",
    "softmax",
    "spoken_at",
    "taken_by",
    "texts_of",
    "weigh",
]

Floats = NDArray[np.float64]
Texts = Sequence[tuple[str, ...]]
Heard = Mapping[str, Sequence[float]]  # by recognizer: the forced score of each text

_AHEAD = 3  # tokens
_FLAT = 0.4  # exponent
_FLOOR = -60.0  # nats: a forced score this far below the best rival's says "impossible"


@dataclass(frozen=True, slots=True)
class Case:
    """A line as the judge sees it: rival paths and what every voice says of each as a whole.

    ``paths`` hold one token (or epsilon) per slot; the arrays have one row per path. Arcs are
    numbered through the whole network, slot by slot (`numbered`).
    """

    network: ConfusionNetwork
    engines: tuple[str, ...]
    numbers: tuple[Mapping[str, int], ...]  # of each slot: token -> number of its arc
    paths: tuple[tuple[str, ...], ...]
    taken: NDArray[np.int64]  # (paths, slots): the numbers of the arcs that a path takes
    votes: Floats  # (paths, engines): sum over slots of the engine's vote for the path's arc
    nets: tuple[str, ...]
    images: Floats  # (paths, nets): forced log-probability, floored below the best
    language: Floats  # (paths,): natural log; 0 without LM
    length: Floats  # (paths,): tokens that the LM may judge
    voices: tuple[str, ...]
    said: Floats  # (paths, voices): in each voice's own scale
    surprise: Floats  # (paths, slots): the LM's natural log of each arc on its path; 0 = no say

    def __post_init__(self) -> None:
        arcs = sum(len(slot.arcs) for slot in self.network.slots)
        shape = len(self.paths), len(self.network.slots)
        if self.taken.shape != shape or sum(map(len, self.numbers)) != arcs:
            raise ValueError("the arcs that paths take are not numbered as this network's are")

    def texts(self) -> list[str]:
        return ["".join(path) for path in self.paths]

    def scores(self, mode: Mode) -> Floats:
        """Score of each path in nats."""
        voices = np.array([mode.votes.get(e, mode.vote_default) for e in self.engines])
        nets = np.array([mode.images.get(k, mode.image_default) for k in self.nets])
        if mode.images and self.nets:  # a subset speaks with the weight of all
            nets = nets * sum(mode.images.values()) / max(float(nets.sum()), 1e-9)
        total = self.votes @ voices + self.images @ nets
        total = total + mode.language * self.language + mode.length * self.length
        others = np.array([mode.voices.get(name, 0.0) for name in self.voices])
        return np.asarray(total + self.said @ others)


def texts_of(paths: Sequence[tuple[str, ...]]) -> Texts:
    """What the paths spell, token by token."""
    return [tuple(token for token in path if token != EPSILON) for path in paths]


def weigh(
    network: ConfusionNetwork,
    engines: tuple[str, ...],
    speaker: Speaker | None,
    voices: Sequence[TextVoice],
    paths: Sequence[tuple[str, ...]],
    heard: Heard,
) -> Case:
    """The ``paths`` of a network with everything that is known of them; ``heard`` has the forced
    scores of their texts."""
    numbers = numbered(network)
    arcs = [arc for slot in network.slots for arc in slot.arcs]
    table = [[arc.evidence.get(f"vote:{e}", 0.0) for e in engines] for arc in arcs]
    taken = taken_by(paths, numbers)
    votes = np.array(table, float).reshape(len(table), len(engines))[taken].sum(axis=1)
    texts = texts_of(paths)
    images = np.array([list(heard[k]) for k in heard]).T.reshape(len(paths), len(heard))
    spoken = speaker.texts(texts) if speaker is not None else []
    surprise = np.zeros((len(paths), len(network.slots)))
    for row, path, said in zip(surprise, paths, spoken, strict=False):
        row[[token != EPSILON for token in path]] = said.each
    return Case(
        network,
        engines,
        numbers,
        tuple(paths),
        taken,
        votes,
        tuple(heard),
        np.maximum(images, -1e6),
        np.array([s.logp for s in spoken]) if spoken else np.zeros(len(paths)),
        np.array([float(s.tokens) for s in spoken]) if spoken else np.zeros(len(paths)),
        tuple(voice.name for voice in voices),
        np.array([voice.speak(texts) for voice in voices]).T.reshape(len(paths), len(voices)),
        surprise,
    )


def softmax(scores: Floats) -> Floats:
    shifted = np.exp(scores - scores.max())
    return np.asarray(shifted / shifted.sum())


def numbered(network: ConfusionNetwork) -> tuple[Mapping[str, int], ...]:
    """Of each slot the numbers of its arcs, counted through the whole network, by token."""
    found, count = [], 0
    for slot in network.slots:
        found.append({arc.token: count + i for i, arc in enumerate(slot.arcs)})
        count += len(slot.arcs)
    return tuple(found)


def taken_by(
    paths: Sequence[Sequence[str]], numbers: Sequence[Mapping[str, int]]
) -> NDArray[np.int64]:
    """(paths, slots): the numbers of the arcs that each path takes."""
    coded = [[n[token] for n, token in zip(numbers, path, strict=True)] for path in paths]
    return np.array(coded, np.int64).reshape(len(coded), len(numbers))


def mass_by_number(case: Case, weights: Floats) -> Floats:
    """The mass of the paths through each arc, by its number."""
    slots, count = len(case.numbers), sum(map(len, case.numbers))
    mass = np.asarray(np.bincount(case.taken.ravel(), np.repeat(weights, slots), count), float)
    mass[[i for slot in case.numbers if len(slot) == 1 for i in slot.values()]] = weights.sum()
    return mass


def arc_mass(case: Case, weights: Floats) -> list[dict[str, float]]:
    """For each slot the mass of the paths through each of its arcs; sums to one."""
    listed = mass_by_number(case, weights).tolist()
    return [{token: listed[i] for token, i in slot.items()} for slot in case.numbers]


def spoken_at(case: Case, scores: Floats) -> list[dict[str, tuple[float, float]]]:
    """For each slot and each of its arcs on a path: what the LM says of the arc on the best path
    through it, and of the (up to `_AHEAD`) tokens after it there, their mean."""
    found: list[dict[str, tuple[float, float]]] = [{} for _ in case.network.slots]
    best = np.full(sum(map(len, case.numbers)), -1, np.int64)  # of each arc, the path
    for number in np.argsort(-scores, kind="stable")[::-1].tolist():
        best[case.taken[number]] = number
    for number in np.unique(best[best >= 0]).tolist():
        path, own = case.paths[number], case.surprise[number]
        wrote = np.array([token != EPSILON for token in path], bool)
        summed = np.concatenate([[0.0], np.cumsum(own[wrote])])
        here = np.cumsum(wrote)
        there = np.minimum(here + _AHEAD, len(summed) - 1)
        after = (summed[there] - summed[here]) / np.maximum(there - here, 1)
        mine = np.flatnonzero(best[case.taken[number]] == number)
        for i, one, next_ in zip(
            mine.tolist(), own[mine].tolist(), after[mine].tolist(), strict=True
        ):
            found[i][path[i]] = one, next_
    return found


def sight_of(case: Case, mode: Mode, spoken: Sequence[Mapping[str, tuple[float, float]]]) -> Sight:
    """A judged case as its words are looked at; it has a slot and a path at least."""
    scores = case.scores(mode)
    nets = np.array([mode.images.get(k, mode.image_default) for k in case.nets])
    others = np.array([mode.voices.get(name, 0.0) for name in case.voices])
    language = mode.language * case.language + mode.length * case.length + case.said @ others
    each = (scores, case.images @ nets, language, _FLAT * scores)
    rows = taken_by([case.network.rows[e] for e in case.engines], case.numbers)
    masses = np.array([softmax(s) for s in each])
    return Sight(case.numbers, case.taken, rows, masses, spoken)


def floored(case: Case) -> Case:
    """Forced scores at most ``_FLOOR`` below the best rival's, so that one deaf net is no veto."""
    if not case.nets or not len(case.paths):
        return case
    best = case.images.max(axis=0, keepdims=True)
    return replace(case, images=np.maximum(case.images, best + _FLOOR))


def joined(one: Case, two: Case) -> Case:
    stack = np.concatenate
    return replace(
        one,
        paths=one.paths + two.paths,
        taken=stack([one.taken, two.taken]),
        votes=stack([one.votes, two.votes]),
        images=stack([one.images, two.images]),
        language=stack([one.language, two.language]),
        length=stack([one.length, two.length]),
        said=stack([one.said, two.said]),
        surprise=stack([one.surprise, two.surprise]),
    )
