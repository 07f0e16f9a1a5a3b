"""A line as the judge sees it: its rival paths, and what every voice says of each as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.combine.language import Speaker
from ensemble_htr.combine.model import Mode
from ensemble_htr.protocols import TextVoice
from ensemble_htr.types import EPSILON, ConfusionNetwork

__all__ = [
    "Case",
    "Heard",
    "Texts",
    "arc_mass",
    "floored",
    "joined",
    "softmax",
    "texts_of",
    "weigh",
]

Floats = NDArray[np.float64]
Texts = Sequence[tuple[str, ...]]
Heard = Mapping[str, Sequence[float]]  # by recognizer: the forced score of each text

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
    )


def softmax(scores: Floats) -> Floats:
    shifted = np.exp(scores - scores.max())
    return np.asarray(shifted / shifted.sum())


def arc_mass(case: Case, weights: Floats) -> list[dict[str, float]]:
    """For each slot the mass of the paths through each of its arcs; sums to one."""
    mass: list[dict[str, float]] = [dict.fromkeys(s.tokens, 0.0) for s in case.network.slots]
    for path, weight in zip(case.paths, weights.tolist(), strict=True):
        for slot, token in zip(mass, path, strict=True):
            slot[token] += weight
    return mass


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
    )
