"""A line as the judge sees it: its rival paths, and what every voice says of each as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress

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
    "sight_of",
    "softmax",
    "spoken_at",
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

    ``paths`` hold one token (or epsilon) per slot; the arrays have one row per path.
    """

    network: ConfusionNetwork
    engines: tuple[str, ...]
    paths: tuple[tuple[str, ...], ...]
    votes: Floats  # (paths, engines): sum over slots of the engine's vote for the path's arc
    nets: tuple[str, ...]
    images: Floats  # (paths, nets): forced log-probability, floored below the best
    language: Floats  # (paths,): natural log; 0 without LM
    length: Floats  # (paths,): tokens that the LM may judge
    voices: tuple[str, ...]
    said: Floats  # (paths, voices): in each voice's own scale
    surprise: Floats  # (paths, slots): the LM's natural log of each arc on its path; 0 = no say

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
    tables = [
        {arc.token: [arc.evidence.get(f"vote:{e}", 0.0) for e in engines] for arc in slot.arcs}
        for slot in network.slots
    ]
    votes = np.zeros((len(paths), len(engines)))
    for i, path in enumerate(paths):
        if path:
            votes[i] = np.sum([t[token] for t, token in zip(tables, path, strict=True)], axis=0)
    texts = texts_of(paths)
    images = np.array([list(heard[k]) for k in heard]).T.reshape(len(paths), len(heard))
    spoken = [speaker.text(text) for text in texts] if speaker is not None else []
    surprise = np.zeros((len(paths), len(network.slots)))
    for row, path, said in zip(surprise, paths, spoken, strict=False):
        row[[token != EPSILON for token in path]] = said.each
    return Case(
        network,
        engines,
        tuple(paths),
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


def arc_mass(case: Case, weights: Floats) -> list[dict[str, float]]:
    """For each slot the mass of the paths through each of its arcs; sums to one."""
    mass: list[dict[str, float]] = [dict.fromkeys(s.tokens, 0.0) for s in case.network.slots]
    several = [len(slot) > 1 for slot in mass]
    disputed = list(compress(mass, several))
    for path, weight in zip(case.paths, weights.tolist(), strict=True):
        for slot, token in zip(disputed, compress(path, several), strict=True):
            slot[token] += weight
    total = float(weights.sum())
    for slot in mass:
        if len(slot) == 1:
            slot[next(iter(slot))] = total
    return mass


def spoken_at(case: Case, scores: Floats) -> list[dict[str, tuple[float, float]]]:
    """For each slot and each of its arcs on a path: what the LM says of the arc on the best path
    through it, and of the (up to `_AHEAD`) tokens after it there, their mean."""
    found: list[dict[str, tuple[float, float]]] = [{} for _ in case.network.slots]
    missing = {i: len(slot.arcs) for i, slot in enumerate(case.network.slots)}
    for number in np.argsort(-scores, kind="stable").tolist():
        path, own = case.paths[number], case.surprise[number]
        wrote = np.array([token != EPSILON for token in path], bool)
        summed = np.concatenate([[0.0], np.cumsum(own[wrote])])
        here = np.cumsum(wrote)
        there = np.minimum(here + _AHEAD, len(summed) - 1)
        after = (summed[there] - summed[here]) / np.maximum(there - here, 1)
        for i in list(missing):
            if path[i] not in found[i]:
                found[i][path[i]] = float(own[i]), float(after[i])
                missing[i] -= 1
                if not missing[i]:
                    del missing[i]
        if not missing:
            break
    return found


def sight_of(case: Case, mode: Mode, spoken: Sequence[Mapping[str, tuple[float, float]]]) -> Sight:
    """A judged case as its words are looked at; it has a slot and a path at least."""
    numbers = tuple({a.token: i for i, a in enumerate(s.arcs)} for s in case.network.slots)
    scores = case.scores(mode)
    nets = np.array([mode.images.get(k, mode.image_default) for k in case.nets])
    others = np.array([mode.voices.get(name, 0.0) for name in case.voices])
    language = mode.language * case.language + mode.length * case.length + case.said @ others
    each = (scores, case.images @ nets, language, _FLAT * scores)
    coded = [_coded(path, numbers) for path in case.paths]
    rows = [_coded(case.network.rows[e], numbers) for e in case.engines]
    return Sight(
        numbers,
        np.array(coded, np.int64),
        np.array(rows, np.int64).reshape(len(rows), len(numbers)),
        np.array([softmax(s) for s in each]),
        spoken,
    )


def _coded(path: Sequence[str], numbers: Sequence[Mapping[str, int]]) -> list[int]:
    return [n[token] for n, token in zip(numbers, path, strict=True)]


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
        votes=stack([one.votes, two.votes]),
        images=stack([one.images, two.images]),
        language=stack([one.language, two.language]),
        length=stack([one.length, two.length]),
        said=stack([one.said, two.said]),
        surprise=stack([one.surprise, two.surprise]),
    )
