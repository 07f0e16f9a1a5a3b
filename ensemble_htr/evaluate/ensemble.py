"""What engines could give together: who alone is right, oracles, the plain vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ensemble_htr.align import SumOfPairsAligner, oracle_distance
from ensemble_htr.evaluate.report import Engine, Ensemble
from ensemble_htr.evaluate.tally import Aligned
from ensemble_htr.metrics import Sites, edit_distance, written_at
from ensemble_htr.text import Profile
from ensemble_htr.types import EPSILON, ConfusionNetwork, Hypothesis

__all__ = ["EnsembleTally", "majority"]

_MOST = 20_000  # lines of which networks are built; of more, every n-th


@dataclass(slots=True)
class EnsembleTally:
    """Collects scored lines of the systems named ``engines``; ``total`` lines are to come."""

    engines: tuple[str, ...]
    profile: Profile
    total: int
    alone: Counter[str] = field(default_factory=Counter)
    never: int = 0
    reference: int = 0  # tokens of all lines
    best_edits: int = 0
    words: int = 0
    lost_words: int = 0
    seen: int = 0
    sampled: int = 0
    sampled_reference: int = 0
    vote_edits: int = 0
    oracle_edits: int = 0
    _aligner: SumOfPairsAligner = field(default_factory=SumOfPairsAligner)

    def add(self, lines: Mapping[str, Aligned], laid: Mapping[str, Sites]) -> None:
        """One line as every system read it, and those readings along its reference."""
        mine = [lines[name] for name in self.engines]
        wanted = laid[self.engines[0]].wanted
        written = [laid[name].written for name in self.engines]
        for want, *reads in zip(wanted, *written, strict=True):
            right = [name for name, read in zip(self.engines, reads, strict=True) if read == want]
            if len(right) == 1:
                self.alone[right[0]] += 1
            self.never += not right
        self.reference += len(wanted)
        self.best_edits += min(line.score.characters.edits for line in mine)
        words = mine[0].score.reference.split()
        self.words += len(words)
        self.lost_words += sum(_lost(words, [line.score.reading.split() for line in mine]))
        if self.seen % max(1, -(-self.total // _MOST)) == 0:
            self._network(wanted, mine)
        self.seen += 1

    def _network(self, wanted: Sequence[str], lines: Sequence[Aligned]) -> None:
        rows = [
            Hypothesis(name, self.profile.cut(line.score.reading))
            for name, line in zip(self.engines, lines, strict=True)
        ]
        network = self._aligner.align(rows)
        self.sampled += 1
        self.sampled_reference += len(wanted)
        self.vote_edits += edit_distance(wanted, majority(network))
        self.oracle_edits += oracle_distance(network, wanted)

    def ensemble(self, rates: Mapping[str, float]) -> Ensemble:
        """``rates`` are the edits of all systems over the reference; those that are no engines are
        measured by the gap between the best engine and the oracle."""
        engines = tuple(Engine(name, rates[name], self.alone[name]) for name in self.engines)
        oracle = self.oracle_edits / max(1, self.sampled_reference)
        best = min(engine.cer for engine in engines)
        gap = best - oracle
        others = [name for name in rates if name not in self.engines]
        return Ensemble(
            engines=engines,
            never=self.never,
            vote=self.vote_edits / max(1, self.sampled_reference),
            oracle_lines=self.best_edits / max(1, self.reference),
            oracle_words=self.lost_words / max(1, self.words),
            oracle_network=oracle,
            sampled=self.sampled,
            gap_closed={n: (best - rates[n]) / gap for n in others} if gap > 0 else {},
        )


def majority(network: ConfusionNetwork) -> list[str]:
    """The most frequent token of every slot, of equally frequent ones the first arc's; tokens
    only, without what writes nothing."""
    text = []
    for place, slot in enumerate(network.slots):
        votes = Counter(row[place] for row in network.rows.values())
        token = max(slot.tokens, key=lambda t: votes[t])
        if token != EPSILON:
            text.append(token)
    return text


def _lost(words: Sequence[str], readings: Sequence[Sequence[str]]) -> list[bool]:
    """Whether no reading aligns an equal word with each word of the reference."""
    held = [written_at(words, reading) for reading in readings]
    return [all(h[i] != word for h in held) for i, word in enumerate(words)]
