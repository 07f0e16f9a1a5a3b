"""The judge: from a confusion network to a reading that knows how sure it is.

Three steps, each a few lines below.

1. *Propose.* The rival paths of a line are every aligned reading and alternative, and the paths
   that a beam over the network composes from their parts (with the LM as partner).
2. *Weigh.* Every path is scored as a whole: votes of the engines, forced scores of the recognizers
   (every net says how well every rival fits the image), the LM and any other voice that judges
   texts (`protocols.TextVoice`); weights are fitted (`Mode`).
3. *Decide.* The softmax of the scores makes each arc's posterior, the mass of the paths through
   it; the reading takes the best arc of each slot. That is the minimum Bayes risk choice for slot
   errors (consensus decoding: Mangu, Brill & Stolcke, 2000), not the single most probable path.
   A learned arc scorer says how probably each is right (`combine.certainty`).

Evidence is left on the arcs: ``forced:NAME`` (log-ratio of the mass, by this net alone, of the
paths through the arc against its rivals), ``lm`` and each voice's name likewise, and
``posterior``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ensemble_htr.combine.arcs import ArcTable, arc_table
from ensemble_htr.combine.case import (
    Case,
    Floats,
    Heard,
    Texts,
    arc_mass,
    floored,
    joined,
    mass_by_number,
    sight_of,
    softmax,
    spoken_at,
    texts_of,
    weigh,
)
from ensemble_htr.combine.certainty import Verdict, char_features, sigmoid
from ensemble_htr.combine.choice import Choice, arc_masses, choose, vote_for
from ensemble_htr.combine.language import Backward, Speaker
from ensemble_htr.combine.model import JudgeModel, Mode
from ensemble_htr.combine.paths import best_paths
from ensemble_htr.combine.words import Sight, written
from ensemble_htr.protocols import LanguageModel, TextVoice
from ensemble_htr.types import EPSILON, Arc, ConfusionNetwork, Reading, Slot

__all__ = ["Case", "ImageScorer", "Judge", "LinesScorer"]

ImageScorer = Callable[[Texts], Heard]
LinesScorer = Callable[[Mapping[int, Texts]], Mapping[int, Heard]]  # the same by number of the line

_COMPOSED = 8  # paths that the beam adds to the aligned ones (twice as many without images)
_BEAM = 12
_ROUNDS = 2  # of composing paths and asking the images about them
_SHARE = 0.3


class Judge:
    """Implements `protocols.Combiner`; with an `ImageScorer` it also hears the recognizers."""

    def __init__(
        self,
        model: JudgeModel,
        lm: LanguageModel | None = None,
        voices: Sequence[TextVoice] = (),
    ) -> None:
        """``voices`` are asked where the model gives their name a weight, and never without
        ``use_lm``: they know language, not this image."""
        self.model = model
        self.speaker = Speaker(lm) if lm is not None else None
        self.voices = tuple(voices)

    def combine(self, network: ConfusionNetwork) -> Reading:
        """Judge a network without images; see `read`."""
        return self.read(network)

    def read(
        self, network: ConfusionNetwork, score: ImageScorer | None = None, use_lm: bool = True
    ) -> Reading:
        """Judge a network. ``score`` gives the recognizers' forced scores of texts, by name."""
        return self.read_many([network], _of_one(score), use_lm)[0]

    def read_many(
        self,
        networks: Sequence[ConfusionNetwork],
        score: LinesScorer | None = None,
        use_lm: bool = True,
    ) -> list[Reading]:
        """Judge the networks of many lines; each reads as alone, but their rivals are scored
        together, which is quicker."""
        mode = self.model.mode(score is not None, use_lm and self.speaker is not None)
        return [self._read(case, mode, use_lm) for case in self.cases(networks, score, use_lm)]

    def _read(self, case: Case, mode: Mode, use_lm: bool) -> Reading:
        reading, choice = self._decided(case, mode)
        if self.speaker is None or not use_lm:
            return reading
        if mode.scorer is not None and mode.scorer.decides:  # it decides with them silent, too
            silent = self.decide(case, mode.mute()).text
            unlisted = self.decide(case, mode.unlisted()).text if mode.listed else reading.text
        else:
            silent, unlisted = _spelled(choice.silent), _spelled(choice.unlisted)
        return replace(reading, without_lm=silent, without_lists=unlisted)

    # ---- 1. propose, 2. weigh ------------------------------------------------------------

    def case(
        self, network: ConfusionNetwork, score: ImageScorer | None = None, use_lm: bool = True
    ) -> Case:
        """The rival paths of a network with everything that is known of them."""
        return self.cases([network], _of_one(score), use_lm)[0]

    def cases(
        self,
        networks: Sequence[ConfusionNetwork],
        score: LinesScorer | None = None,
        use_lm: bool = True,
    ) -> list[Case]:
        """The `case` of each network; in every round the images are asked about all lines."""
        working = {
            i: self._steps(network, score is not None, use_lm) for i, network in enumerate(networks)
        }
        done: dict[int, Case] = {}
        heard: Mapping[int, Heard] = {}
        while working:
            asked: dict[int, Texts] = {}
            for i, steps in working.items():
                try:
                    asked[i] = steps.send(heard[i]) if i in heard else next(steps)
                except StopIteration as end:
                    done[i] = end.value
            working = {i: working[i] for i in asked}
            heard = score(asked) if score is not None and asked else {}
        return [done[i] for i in range(len(networks))]

    def _steps(
        self, network: ConfusionNetwork, images: bool, use_lm: bool
    ) -> Generator[Texts, Heard, Case]:
        """Yields the texts that the images are to be asked about, and wants their scores."""
        speaker = self.speaker if use_lm else None
        mode = self.model.mode(images, speaker is not None)
        engines = _engines(network)
        voices = [v for v in self.voices if use_lm and mode.voices.get(v.name, 0.0) > 0]
        paths = _distinct(network.rows.values())
        weighed = partial(weigh, network, engines, speaker, voices)
        if not images:
            local = [
                [(a.token, vote_for(a, engines, mode)) for a in slot.arcs] for slot in network.slots
            ]
            composed = best_paths(
                local,
                speaker=speaker,
                language=_composing(mode),
                length=mode.length,
                beam=2 * _BEAM,
                count=2 * _COMPOSED,
            )
            return weighed(_distinct([*paths, *composed]), {})
        case = weighed(paths, (yield texts_of(paths)))
        for number in range(_ROUNDS):
            fresh = _composed(case, mode)
            if number == 0 and speaker is not None:
                fresh = [*fresh, *_spoken(case, mode, speaker)]
            known = set(case.texts())
            fresh = [path for path in _distinct(fresh) if "".join(path) not in known]
            if not fresh:
                break
            case = joined(case, weighed(fresh, (yield texts_of(fresh))))
        return case

    # ---- 3. decide -----------------------------------------------------------------------

    def decide(self, case: Case, mode: Mode) -> Reading:
        """The consensus of the weighed paths."""
        return self._decided(case, mode)[0]

    def _decided(self, case: Case, mode: Mode) -> tuple[Reading, Choice]:
        case = floored(case)
        if not case.network.slots:
            line = sigmoid(mode.line, (0.0, 0.0))
            return Reading((), (), line, network=case.network), Choice([], [], [])
        mass = arc_masses(case, mode)
        network = _explained(case, mass, mode)
        choice = choose(case, mode, mass)
        chosen = choice.all
        if mode.scorer is None:
            features = char_features(network, chosen, case.engines)
            verdict = Verdict.plain(features, chosen, mode.char, mode.word, mode.line)
        else:
            table, sight = tabled(case, network, mode)
            chosen, sure, p = mode.scorer.choose(table, chosen)
            if mode.scorer.decides:
                network = _rescored(network, table, p)
            verdict = Verdict.scored(mode.scorer, sight, chosen, sure)
        reading = Reading(
            tuple(chosen[i] for i in verdict.slots),
            verdict.sure,
            verdict.line,
            words=verdict.words,
            network=network,
            slots=verdict.slots,
        )
        return reading, choice


def _spelled(chosen: Sequence[str]) -> str:
    return "".join(chosen[i] for i in written(chosen))


def tabled(case: Case, network: ConfusionNetwork, mode: Mode) -> tuple[ArcTable, Sight]:
    """The features of the arcs of the judged ``network`` of a case, and how its words are seen."""
    scores = case.scores(mode)
    best = int(np.argmax(scores))
    size = max(1, sum(token != EPSILON for token in case.paths[best]))
    image = float(case.images[best].mean()) / size if case.nets else 0.0
    language = float(case.language[best]) / size if mode.language > 0 else 0.0
    spoken = spoken_at(case, scores) if mode.language > 0 else [{} for _ in network.slots]
    table = arc_table(network, case.engines, case.nets, case.voices, spoken, image, language)
    return table, sight_of(case, mode, spoken)


def _rescored(network: ConfusionNetwork, table: ArcTable, p: Floats) -> ConfusionNetwork:
    """The network whose ``posterior`` is what the arc scorer says, its sum over a slot being 1."""
    found: list[dict[str, float]] = [{} for _ in network.slots]
    for slot, token, sure in zip(table.slots.tolist(), table.tokens, p.tolist(), strict=True):
        found[slot][token] = max(sure, 1e-9)
    slots = []
    for slot, known in zip(network.slots, found, strict=True):
        total = sum(known.values())
        slots.append(
            Slot(
                tuple(
                    Arc(a.token, {**a.evidence, "posterior": known.get(a.token, 0.0) / total})
                    for a in slot.arcs
                )
            )
        )
    return replace(network, slots=tuple(slots))


def _composing(mode: Mode) -> float:
    """The language model's weight where paths are composed: the two directions say much the same,
    so a fit may leave all to the one that the beam cannot ask."""
    return max(mode.language, (mode.language + mode.voices.get(Backward.name, 0.0)) / 2)


def _composed(case: Case, mode: Mode) -> list[tuple[str, ...]]:
    """The best new paths by the arcs' masses under all voices."""
    mass = arc_mass(case, softmax(floored(case).scores(mode)))
    found = best_paths(_likely(mass, 1e-4), beam=_BEAM, count=len(case.paths) + _COMPOSED)
    known = set(case.texts())
    return [path for path in found if "".join(path) not in known][:_COMPOSED]


def _spoken(case: Case, mode: Mode, speaker: Speaker) -> list[tuple[str, ...]]:
    """The best paths by the arcs' masses under votes and images, with the LM as partner. All
    scores are scaled down: what the images nearly exclude may be what the LM wants."""
    silent = replace(mode, language=0.0, length=0.0, voices={})
    mass = arc_mass(case, softmax(_SHARE * floored(case).scores(silent)))
    language, length = _SHARE * mode.language, _SHARE * mode.length
    likely = _likely(mass, 1e-3)
    return best_paths(
        likely, speaker=speaker, language=language, length=length, beam=_BEAM, count=_COMPOSED
    )


def _likely(mass: Sequence[Mapping[str, float]], least: float) -> list[list[tuple[str, float]]]:
    return [[(t, math.log(m)) for t, m in slot.items() if m > least] for slot in mass]


def _of_one(score: ImageScorer | None) -> LinesScorer | None:
    if score is None:
        return None
    return lambda asked: {i: score(texts) for i, texts in asked.items()}


def _engines(network: ConfusionNetwork) -> tuple[str, ...]:
    """The engines that have a row; alternatives are called ``engine#k``."""
    return tuple(source for source in network.rows if "#" not in source)


def _distinct(paths: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Paths with distinct texts, the first of each."""
    seen: dict[str, tuple[str, ...]] = {}
    for path in paths:
        seen.setdefault("".join(path), path)
    return list(seen.values())


def _explained(case: Case, mass: list[dict[str, float]], mode: Mode) -> ConfusionNetwork:
    """The network with ``posterior``, ``forced:*`` and ``lm`` added where arcs are in dispute."""
    voices: dict[str, list[float]] = {}  # what each says alone, by the number of the arc
    for i, net in enumerate(case.nets):
        weight = mode.images.get(net, mode.image_default)
        voices[f"forced:{net}"] = _odds(case, weight * case.images[:, i])
    if mode.language > 0 and case.language.any():
        voices["lm"] = _odds(case, mode.language * case.language + mode.length * case.length)
    for i, voice in enumerate(case.voices):
        if (weight := mode.voices.get(voice, 0.0)) > 0:
            voices[voice] = _odds(case, weight * case.said[:, i])
    slots = []
    for slot, numbers, masses in zip(case.network.slots, case.numbers, mass, strict=True):
        arcs = []
        for arc in slot.arcs:
            evidence = {**arc.evidence, "posterior": masses[arc.token]}
            if len(slot.arcs) > 1:
                number = numbers[arc.token]
                evidence |= {name: odds[number] for name, odds in voices.items()}
            arcs.append(Arc(arc.token, evidence))
        slots.append(Slot(tuple(arcs)))
    return replace(case.network, slots=tuple(slots))


def _odds(case: Case, scores: Floats) -> list[float]:
    """Log of the mass of the paths through each arc against that of its rivals, by its number."""
    mass = np.clip(mass_by_number(case, softmax(scores)), 1e-9, 1 - 1e-9)
    odds: list[float] = np.log(mass / (1 - mass)).tolist()
    return odds
