"""Which guard is taken: what it breaks, and what it may cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.combine import Judge, JudgeModel, plain_judge
from ensemble_htr.combine.model import Mode
from ensemble_htr.train.guard import BROKEN, Reader, _best
from ensemble_htr.train.judge import Item
from ensemble_htr.types import Hypothesis

TRUTH, MISREAD, BROKE = tuple("ab cd"), tuple("ax cd"), tuple("ab cx")
LINES, WRONG, ALWAYS = 200, 50, 45  # of 200 lines 50 are misread, 45 more have two letters too many
MUTE = replace(plain_judge().modes["text"], language=0.0)


def chosen(effects: dict[float, tuple[int, int]], most: float = BROKEN) -> float:
    """The guard that is taken, where each is said to mend and to break so many lines."""
    judge = Judge(JudgeModel(modes={"text": MUTE}))
    case = judge.case(SumOfPairsAligner().align([Hypothesis("one", TRUTH)]))
    items = [Item(case, TRUTH, "d") for _ in range(LINES)]

    def reader(line: int) -> Reader:
        def read(mode: Mode) -> tuple[str, ...]:
            mended, broken = effects[mode.guard] if mode.language else (0, 0)
            if line < WRONG:
                return TRUTH if line < mended else MISREAD
            if line < WRONG + ALWAYS:
                return (*TRUTH, "z", "z")
            return BROKE if line < WRONG + ALWAYS + broken else TRUTH

        return read

    rivals = [replace(MUTE, language=1.0, guard=nats) for nats in effects]
    return _best(items, rivals, MUTE, [reader(i) for i in range(LINES)], most).guard


@pytest.mark.parametrize(
    ("effects", "guard"),
    [
        # 100 errors without a guard: it may make 102
        ({0.0: (50, 10), 1.0: (41, 2)}, 1.0),  # breaks too many without; with: 101 errors
        ({0.0: (50, 10), 1.0: (36, 0)}, 0.0),  # 104 errors are too dear
        ({0.0: (50, 10), 1.0: (41, 2), 2.0: (36, 0)}, 1.0),  # the dear one breaks fewest
        ({0.0: (50, 4), 1.0: (47, 2)}, 0.0),  # breaks few enough anyhow
        ({0.0: (50, 4), 1.0: (50, 2)}, 1.0),  # few enough, and better
        ({0.0: (50, 4), 1.0: (50, 4)}, 0.0),  # of equal ones the loosest
        ({0.0: (50, 20), 1.0: (46, 15), 2.0: (49, 18)}, 1.0),  # none breaks few enough
    ],
)
def test_the_guard_that_is_taken(effects: dict[float, tuple[int, int]], guard: float) -> None:
    assert chosen(effects) == guard
