"""Laws of fitting the judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.combine import Judge, JudgeModel, plain_judge
from ensemble_htr.train.judge import Item, fit_mode
from ensemble_htr.types import Hypothesis

PAIRS = [("abab", "abb"), ("bab", "bb"), ("aab", "ab"), ("ba", "bba")]  # truth, another reading


class Voice:
    def __init__(self, name: str, worth: float) -> None:
        self.name, self._worth = name, worth

    def speak(self, texts: Sequence[tuple[str, ...]]) -> list[float]:
        truths = {truth for truth, _ in PAIRS}
        return [self._worth * ("".join(text) in truths) for text in texts]


def test_a_voice_that_helps_gets_a_weight_and_one_that_says_nothing_gets_none() -> None:
    mode = replace(plain_judge().modes["text"], voices={"wise": 0.05, "dull": 0.05})
    judge = Judge(JudgeModel(modes={"text": mode}), None, [Voice("wise", 4.0), Voice("dull", 0.0)])
    items = []
    for i, (truth, other) in enumerate(PAIRS):
        rows = [Hypothesis("one", tuple(truth)), Hypothesis("two", tuple(other))]
        items.append(Item(judge.case(SumOfPairsAligner().align(rows)), tuple(truth), f"d{i}"))
    fitted = fit_mode(items, mode, generic=True, lm=False)
    assert fitted.mode.voices["wise"] > 0.5 and fitted.mode.voices["dull"] == 0.0
    assert fitted.after < fitted.before
