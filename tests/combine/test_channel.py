"""What engines misread: rivals are added, never taken away, and only where they were seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.combine import Judge, JudgeModel, Mode
from ensemble_htr.combine.channel import CHANNEL, Channel
from ensemble_htr.combine.model import dump_judge, load_judge
from ensemble_htr.types import ConfusionNetwork, Hypothesis

SEEN = Channel(
    {"u": {"u": 0.6, "n": 0.4}, "u\t0": {"u": 0.3, "n": 0.7}, "1": {"1": 0.9, "l": 0.1}},
    {"n": {"e": 0.1}, "u\tn": {" ": 0.2}, "1": {"e": 0.5}},
)
texts = st.lists(st.text("aun1 ", min_size=1, max_size=8), min_size=1, max_size=3)


def network(said: list[str]) -> ConfusionNetwork:
    return SumOfPairsAligner().align([Hypothesis(f"e{i}", tuple(t)) for i, t in enumerate(said)])


@given(texts)
def test_every_reading_stays_a_path_and_nothing_is_lost(said: list[str]) -> None:
    before = network(said)
    after = SEEN.propose(before)
    assert {k: "".join(row) for k, row in after.rows.items()} == {
        k: "".join(row) for k, row in before.rows.items()
    }
    for row in after.rows.values():
        assert all(t in slot.tokens for t, slot in zip(row, after.slots, strict=True))
    for slot in after.slots:
        shares = [a.evidence[CHANNEL] for a in slot.arcs if CHANNEL in a.evidence]
        assert all(share <= 0 for share in shares)
        assert len(shares) in (0, len(slot.arcs))
    assert sum(len(s.arcs) for s in after.slots) >= sum(len(s.arcs) for s in before.slots)


@given(texts)
def test_what_never_saw_a_misreading_proposes_nothing(said: list[str]) -> None:
    before = network(said)
    after = Channel().propose(before)
    assert [s.tokens for s in after.slots] == [s.tokens for s in before.slots]


def test_digits_are_left_alone_and_doubt_is_heard() -> None:
    slots = SEEN.propose(network(["u1"])).slots
    assert [set(s.tokens) for s in slots] == [{"u", "n"}, {"1"}]
    doubtful = SumOfPairsAligner().align([Hypothesis("e", ("u",), (-3.0,))])
    (sure,) = SEEN.propose(network(["u"])).slots
    (unsure,) = SEEN.propose(doubtful).slots
    says = [{a.token: a.evidence[CHANNEL] for a in s.arcs}["n"] for s in (sure, unsure)]
    assert says[1] > says[0]


def test_a_gap_opens_where_something_was_left_out() -> None:
    slots = SEEN.propose(network(["un"])).slots
    assert [set(s.tokens) for s in slots] == [{"u", "n"}, {"", " "}, {"n"}, {"", "e"}]


def test_a_heavy_channel_changes_the_reading(tmp_path) -> None:  # type: ignore[no-untyped-def]
    doubtful = Hypothesis("e", ("u",), (-3.0,))
    mode = Mode(images={}, image_default=0.0, voices={CHANNEL: 3.0}, channel=SEEN)
    path = tmp_path / "judge.json"
    path.write_text(dump_judge(JudgeModel(modes={"text": mode})))
    heavy = Judge(load_judge(path))
    plain = Judge(JudgeModel(modes={"text": Mode(images={}, image_default=0.0)}))
    seen = SumOfPairsAligner().align([doubtful])
    assert (plain.combine(seen).text, heavy.combine(seen).text) == ("u", "n")


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, float("nan")])
def test_shares_that_are_none_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share of misreadings"):
        Channel({"u": {"n": share}})
