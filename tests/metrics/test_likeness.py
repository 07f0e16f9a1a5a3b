"""Lists of texts find each other, in their order and one to one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.metrics import by_number, by_text

TEXTS = [
    "demeurant a Paris rue de la Paix", "le vingt trois janvier mil huit cent", "Monsieur le maire",
    "j'ai l'honneur de vous adresser", "les pieces que vous demandez", "votre tres humble",
    "et tres obeissant serviteur", "signe Dupont notaire royal",
]  # fmt: skip
KEEP = st.sets(st.integers(0, len(TEXTS) - 1), min_size=4)


def worse(text: str) -> str:
    return text.replace("e", "c").replace("q", "g")


@given(KEEP, KEEP)
def test_texts_in_one_order_find_each_other(left: set[int], right: set[int]) -> None:
    ours, theirs = sorted(left), sorted(right)
    pairs = by_text([TEXTS[i] for i in ours], [worse(TEXTS[j]) for j in theirs])
    both = left & right
    wanted = {(ours.index(i), theirs.index(i)) for i in both}
    if 2 * len(both) >= min(len(left), len(right)):
        assert set(pairs) == wanted
    assert set(pairs) <= wanted


@given(st.lists(st.text("ab ", max_size=12)), st.lists(st.text("ab ", max_size=12)))
def test_the_alignment_is_monotone_and_one_to_one(left: list[str], right: list[str]) -> None:
    pairs = by_text(left, right)
    assert all(a < c and b < d for (a, b), (c, d) in zip(pairs, pairs[1:], strict=False))


def test_long_lists_are_cut_where_both_agree() -> None:
    texts = [f"{TEXTS[i % 8]} {i * 7919 % 10007}" for i in range(6000)]
    other = [worse(t) if i % 3 else t for i, t in enumerate(texts) if i % 50]
    pairs = by_text(texts, other)
    assert len(pairs) > 0.95 * len(other)
    kept = [i for i in range(6000) if i % 50]
    assert sum(kept[j] == i for i, j in pairs) > 0.98 * len(pairs)


NUMBERED = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([*TEXTS, "", None])), max_size=7)


@given(NUMBERED, NUMBERED)
def test_numbers_pair_nothing_twice(
    lines: list[tuple[int, str | None]], rows: list[tuple[int, str | None]]
) -> None:
    pairs, way = by_number(lines, rows)
    assert way in ("order", "text")
    for side in (0, 1):
        assert len({pair[side] for pair in pairs}) == len(pairs)
    assert all(0 <= i < len(lines) and 0 <= j < len(rows) for i, j in pairs)


@given(KEEP)
def test_as_many_rows_as_lines_go_one_by_one(kept: set[int]) -> None:
    texts = [TEXTS[i] for i in sorted(kept)]
    rows = [(i, worse(text)) for i, text in enumerate(texts, 1)]
    same = [(i, i) for i in range(len(texts))]
    assert by_number([(0, text) for text in texts], rows) == (same, "order")
    assert by_number([(0, None)] * len(texts), rows) == (same, "order")
    fewer = [row for row in rows if row[0] != 2]  # a blank row keeps its number
    wanted = [(row[0] - 1, j) for j, row in enumerate(fewer)]
    assert by_number([(0, text) for text in texts], fewer)[0] == wanted
