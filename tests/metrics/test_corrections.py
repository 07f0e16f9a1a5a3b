"""Corrections: every site is in exactly one class."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.metrics import Corrections, alignment_pairs, corrections, sites

LINE = st.text("ab c", max_size=8)


@given(LINE, LINE, LINE)
def test_classes_are_those_of_both_readings(wanted: str, old: str, new: str) -> None:
    before, after = sites(alignment_pairs(wanted, old)), sites(alignment_pairs(wanted, new))
    assert "".join(before.wanted) == wanted
    woven = zip(before.gaps, (*before.written, ""), strict=True)
    assert "".join(gap + token for gap, token in woven) == old
    found = corrections(before, after)
    wrong = sum(a != b for a, b in zip(before.wanted, before.written, strict=True))
    assert found.fixed + found.missed + found.changed == wrong + sum(map(bool, before.gaps))
    back = corrections(after, before)
    assert (back.fixed, back.broken, back.kept) == (found.broken, found.fixed, found.kept)
    same = corrections(before, before)
    assert (same.fixed, same.broken, same.changed, same.over_correction) == (0, 0, 0, 0.0)


def test_an_example() -> None:
    def along(read: str):  # type: ignore[no-untyped-def]
        return sites(alignment_pairs("maison", read))

    found = corrections(along("moisun"), along("maizux"))
    assert found == Corrections(kept=2, fixed=1, missed=1, changed=0, broken=2)
    assert (found.recall, found.precision) == (0.5, 1 / 3)
