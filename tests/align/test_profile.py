"""The dynamic programmes against obvious oracles: recursion, rapidfuzz, and one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

import ensemble_htr.align.profile as programme
from ensemble_htr.align.band import corridor, diagonal
from ensemble_htr.align.costs import UNIT, AlignOptions, Costs
from ensemble_htr.align.exact import align_three
from ensemble_htr.align.network import align_strings, sum_of_pairs
from ensemble_htr.align.pairs import learn_pairs
from ensemble_htr.align.profile import INSERT, MATCH, SKIP, Profile, columns_of, half_needed, solve
from ensemble_htr.metrics import anchors
from ensemble_htr.text import fold

UNIT_COSTS = AlignOptions(gap=1, substitution=1, space=1, fold=1)
LINE = st.text(alphabet="abAé ", max_size=9).map(tuple)
PAIRED = AlignOptions(pairs=(("a", "b", 0.5), ("e", "A", 0.75)))
OPTIONS = st.sampled_from(
    [AlignOptions(), UNIT_COSTS, AlignOptions(gap=0.75, space=1.3, fold=0), PAIRED]
)


def brute(rows: Sequence[tuple[str, ...]], costs: Costs) -> int:
    """The least sum-of-pairs cost of any number of sequences, by recursion over their starts."""

    @cache
    def rest(starts: tuple[int, ...]) -> int:
        left = [len(row) - start for row, start in zip(rows, starts, strict=True)]
        if not any(left):
            return 0
        found = []
        for step in product(*((0, 1) if n else (0,) for n in left)):
            if any(step):
                column = [r[s] if d else "" for r, s, d in zip(rows, starts, step, strict=True)]
                here = sum(costs.pair(a, b) for i, a in enumerate(column) for b in column[:i])
                found.append(here + rest(tuple(s + d for s, d in zip(starts, step, strict=True))))
        return min(found)

    return rest((0,) * len(rows))


def brute_profile(
    tokens: tuple[str, ...], columns: Sequence[dict[str, int]], rows: int, costs: Costs
) -> int:
    """The least cost of one sequence against fixed columns."""

    def against(token: str, column: dict[str, int]) -> int:
        return sum(weight * costs.pair(token, other) for other, weight in column.items())

    @cache
    def rest(i: int, j: int) -> int:
        found = [0] if i == len(tokens) and j == len(columns) else []
        if i < len(tokens):
            found.append(rows * costs.gap + rest(i + 1, j))
        if j < len(columns):
            found.append(against("", columns[j]) + rest(i, j + 1))
        if i < len(tokens) and j < len(columns):
            found.append(against(tokens[i], columns[j]) + rest(i + 1, j + 1))
        return min(found)

    return rest(0, 0)


def aligned(rows: Sequence[tuple[str, ...]], options: AlignOptions) -> tuple[int, list[list[str]]]:
    costs = Costs(options)
    found = align_strings(rows, options, costs)
    paths = [found[row] for row in rows]
    return sum_of_pairs(paths, [1] * len(rows), costs), paths


@given(LINE, LINE)
def test_two_rows_with_unit_costs_are_levenshtein(a: tuple[str, ...], b: tuple[str, ...]) -> None:
    assert aligned([a, b], UNIT_COSTS)[0] == UNIT * Levenshtein.distance(a, b)


@given(LINE, LINE, OPTIONS)
def test_two_rows_are_optimal(
    a: tuple[str, ...], b: tuple[str, ...], options: AlignOptions
) -> None:
    assert aligned([a, b], options)[0] == brute([a, b], Costs(options))


@settings(max_examples=50)
@given(st.lists(LINE.map(lambda t: t[:6]), min_size=3, max_size=3), OPTIONS)
def test_three_short_rows_are_optimal(rows: list[tuple[str, ...]], options: AlignOptions) -> None:
    assert aligned(rows, options)[0] == brute(rows, Costs(options))


@settings(max_examples=50)
@given(st.lists(LINE.map(lambda t: t[:6]), min_size=3, max_size=3), OPTIONS)
def test_the_heuristic_never_beats_the_exact_programme(
    rows: list[tuple[str, ...]], options: AlignOptions
) -> None:
    costs = Costs(options)
    exact = align_three(rows, [1, 1, 1], costs)
    heuristic = replace(options, exact_cells=0)
    assert sum_of_pairs(exact, [1, 1, 1], costs) <= aligned(rows, heuristic)[0]


@given(st.lists(LINE, min_size=2, max_size=4), OPTIONS)
def test_a_refinement_round_never_costs_more(
    rows: list[tuple[str, ...]], options: AlignOptions
) -> None:
    plain = replace(options, refine=0, exact_cells=0)
    refined = replace(options, refine=1, exact_cells=0)
    assert aligned(rows, refined)[0] <= aligned(rows, plain)[0]


def test_a_refinement_round_finds_what_the_order_of_the_rows_hid() -> None:
    rows = [tuple(text) for text in ("bbc", "cb", "cbac", "a")]
    assert aligned(rows, AlignOptions(refine=0))[0] == 18 * UNIT
    assert aligned(rows, AlignOptions(refine=1))[0] == brute(rows, Costs(AlignOptions()))


@given(st.lists(LINE, min_size=2, max_size=4), LINE, OPTIONS)
def test_both_programmes_are_optimal_and_make_the_same_moves(
    rows: list[tuple[str, ...]], tokens: tuple[str, ...], options: AlignOptions
) -> None:
    costs = Costs(options)
    paths = list(align_strings(rows, options, costs).values())
    columns = columns_of(paths, [1] * len(paths))
    profile = Profile(columns, len(paths), costs)
    cost, moves = solve(tokens, profile, options)
    assert cost == brute_profile(tokens, columns, len(paths), costs)
    assert sum(move != SKIP for move in moves) == len(tokens)
    assert sum(move != INSERT for move in moves) == len(columns)
    if tokens and columns:
        small = programme._solve_small(tokens, profile)
        assert (
            programme._solve_large(tokens, profile, diagonal(len(tokens), len(columns), 100))
            == small
        )


@given(LINE, LINE, st.integers(1, 4), OPTIONS)
def test_a_band_is_optimal_once_it_is_as_wide_as_its_cost_demands(
    a: tuple[str, ...], b: tuple[str, ...], half: int, options: AlignOptions
) -> None:
    if not a or not b:
        return
    costs = Costs(options)
    profile = Profile(columns_of([b], [1]), 1, costs)
    cost, moves = programme._solve_large(a, profile, diagonal(len(a), len(b), half))
    assert cost >= brute([a, b], costs)
    assert sum(move != SKIP for move in moves) == len(a)
    assert sum(move != INSERT for move in moves) == len(b)
    needed = half_needed(cost, len(a), profile.skip, profile.insert, profile.floor())
    wide = diagonal(len(a), len(b), max(1, needed))
    assert programme._solve_large(a, profile, wide)[0] == brute([a, b], costs)


@given(st.lists(LINE, min_size=1, max_size=3), OPTIONS)
def test_no_token_costs_less_than_the_floor_of_a_column(
    rows: list[tuple[str, ...]], options: AlignOptions
) -> None:
    costs = Costs(options)
    columns = columns_of(list(align_strings(rows, options, costs).values()), [1] * len(set(rows)))
    for column, floor in zip(columns, Profile(columns, len(rows), costs).floor(), strict=True):
        least = [sum(n * costs.pair(t, x) for x, n in column.items()) for t in ("", *"abAéeEz ")]
        assert floor == min(least) or (options.pairs and floor <= min(least))


def test_a_long_line_with_a_shift_is_found_by_anchors_and_by_widening_the_band() -> None:
    line = tuple(f"{i % 97}.{i % 89}" for i in range(1500))
    shifted = (*(f"x{i}" for i in range(400)), *line[:-400])
    profile = Profile(columns_of([line], [1]), 1, Costs(AlignOptions()))
    expected = 800 * UNIT, [INSERT] * 400 + [MATCH] * 1100 + [SKIP] * 400
    assert solve(shifted, profile, AlignOptions()) == expected
    assert solve(shifted, profile, AlignOptions(max_cells=100_000)) == expected  # by anchors alone


CODES = st.lists(st.integers(0, 3), max_size=60)


@given(CODES, CODES, CODES, st.integers(1, 9))
def test_a_corridor_is_a_way_from_corner_to_corner(
    a: list[int], b: list[int], shared: list[int], half: int
) -> None:
    x, y = np.array([9, *a, *shared]), np.array([*shared, *b, 8])
    mine, theirs = anchors(x, y, 10)
    assert (np.diff(mine) > 0).all() and (np.diff(theirs) > 0).all()
    assert all((x[i : i + 10] == y[j : j + 10]).all() for i, j in zip(mine, theirs, strict=True))
    low, high = corridor(x, y, half)
    assert low[0] == 0 and high[-1] == len(y) + 1 and high.max() == len(y) + 1
    assert (np.diff(low) >= 0).all() and (np.diff(high) >= 0).all()
    assert (low[1:] < high[:-1]).all()  # each row can be entered from the one above
    assert all(low[i] <= j < high[i] for i, j in zip(mine, theirs, strict=True))


def test_what_moved_by_more_than_the_band_is_an_anchor() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 40, 3000), rng.integers(0, 40, 500)
    mine, theirs = anchors(x, np.concatenate((y, x)), 10)
    assert len(mine) > 2900 and set(theirs - mine) == {500}


# arcs of two slots that no row writes in, moves of an alternative's "x" there
SLOTS = [
    ([{""}, {"", "x"}], [SKIP, MATCH]),  # to the slot that has it
    ([{"", "x"}, {""}], [MATCH, SKIP]),
    ([{"", "y"}], [MATCH]),  # as a rival rather than in a slot of its own
]


@pytest.mark.parametrize(("seen", "moves"), SLOTS)
def test_slots_that_know_a_token_win_between_equals(seen: list[set[str]], moves: list[int]) -> None:
    profile = Profile([{"": 2}] * len(seen), 2, Costs(AlignOptions()), seen)
    assert solve(("x",), profile, AlignOptions())[1] == moves


# token, its fold
FOLDS = [
    ("É", "e"),
    ("ç", "c"),
    ("e\u0301", "e"),  # decomposed
    ("\u0301", "\u0301"),  # a mark alone stays itself
    ("ß", "ss"),
    ("1", "1"),
    (" ", " "),
]


@pytest.mark.parametrize(("token", "plain"), FOLDS)
def test_fold(token: str, plain: str) -> None:
    assert fold(token) == plain


# first, second, cost of the pair by default
PAIRS = [
    ("a", "a", 0.0),
    ("a", "b", 1.0),
    ("a", "", 1.0),
    (" ", "", 1.0),
    ("a", " ", 2.0),
    ("\u00a0", " ", 1.0),  # two kinds of space are rivals, not opposites
    ("e", "É", 0.5),
    ("", "", 0.0),
]


@pytest.mark.parametrize(("a", "b", "cost"), PAIRS)
def test_pair_costs(a: str, b: str, cost: float) -> None:
    costs = Costs(AlignOptions())
    assert costs.pair(a, b) == costs.pair(b, a) == cost * UNIT


def test_pairs_cost_less_whatever_their_case_and_order() -> None:
    costs = Costs(AlignOptions(pairs=(("m", "n", 0.5),)))
    assert costs.pair("m", "n") == costs.pair("N", "M") == UNIT // 2
    assert costs.pair("m", "r") == UNIT


@pytest.mark.parametrize("pair", [("a", "b", 1.5), ("a", "À", 0.5), ("a", " ", 0.5), ("", "a", 0)])
def test_pairs_that_make_no_sense_are_refused(pair: tuple[str, str, float]) -> None:
    with pytest.raises(ValueError, match="pairs"):
        AlignOptions(pairs=(pair,))


def test_pairs_are_learned_from_what_stands_in_one_place() -> None:
    lines = [("nom", "norn"), ("mur", "rnur"), ("un", "un"), ("bas", "bas")] * 25
    learned = learn_pairs([(tuple(a), tuple(b)) for a, b in lines])
    assert {pair[:2] for pair in learned} <= {("m", "n"), ("m", "r")}
    assert learned and all(0 < share <= 0.5 for *_, share in learned)
    assert learn_pairs([[tuple(b), tuple(a)] for a, b in reversed(lines)]) == learned
    AlignOptions(pairs=learned)


@pytest.mark.parametrize("name", ["gap", "temperature", "band", "max_cells"])
def test_options_that_make_no_sense_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        AlignOptions(**{name: 0})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="space must be a finite number"):
        AlignOptions(space=float("nan"))
