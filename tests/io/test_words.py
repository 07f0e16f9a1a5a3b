"""Word boxes: the quick way against a slow, obvious one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.io.geometry import bounding_box
from ensemble_htr.io.words import shares, word_boxes
from ensemble_htr.types import Point, Reading, Word

COORDINATE = st.integers(0, 60).map(float)
POINTS = st.lists(st.tuples(COORDINATE, COORDINATE), min_size=3, max_size=8, unique=True)


def clip(polygon: list[Point], direction: Point, least: float) -> list[Point]:
    """The part of a polygon on one side of a line (Sutherland & Hodgman 1974): the oracle."""
    kept: list[Point] = []
    for i, (x, y) in enumerate(polygon):
        u, v = polygon[i - 1]
        d0 = u * direction[0] + v * direction[1] - least
        d1 = x * direction[0] + y * direction[1] - least
        if (d0 < 0 < d1) or (d1 < 0 < d0):
            share = d0 / (d0 - d1)
            kept.append((u + share * (x - u), v + share * (y - v)))
        if d1 >= 0:
            kept.append((x, y))
    return kept


@given(POINTS, st.tuples(COORDINATE, COORDINATE), st.tuples(COORDINATE, COORDINATE),
       st.floats(0.01, 0.98), st.floats(0.01, 0.98))  # fmt: skip
def test_boxes_equal_those_of_the_clipped_polygon(
    polygon: list[Point], start: Point, end: Point, one: float, other: float
) -> None:
    length = math.dist(start, end)
    if length < 1 or abs(one - other) < 0.01:
        return
    low, high = sorted((one, other))
    direction = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    first = start[0] * direction[0] + start[1] * direction[1]
    part = clip(polygon, direction, first + low * length)
    part = clip(part, (-direction[0], -direction[1]), -(first + high * length))
    [box] = word_boxes([start, end], polygon, [(low, high)])
    expected = bounding_box(part)
    assert (box is None) == (expected is None)
    if box is not None and expected is not None:
        assert box == pytest.approx(expected, abs=1e-6)


@given(POINTS, st.lists(st.tuples(COORDINATE, COORDINATE), max_size=4))
def test_the_whole_line_is_the_whole_polygon(polygon: list[Point], baseline: list[Point]) -> None:
    [box] = word_boxes(baseline, polygon, [(0.0, 1.0)])
    assert box == pytest.approx(bounding_box(polygon))


def test_words_follow_the_line_down() -> None:
    polygon = [(0.0, 0.0), (10.0, 0.0), (10.0, 100.0), (0.0, 100.0)]
    top, bottom = word_boxes([(5.0, 0.0), (5.0, 100.0)], polygon, [(0, 0.4), (0.6, 1)])
    assert top == pytest.approx((0, 0, 10, 40)) and bottom == pytest.approx((0, 60, 10, 100))


def test_no_polygon_no_boxes() -> None:
    assert word_boxes([(0, 0), (9, 0)], [], [(0, 0.5), (0.5, 1)]) == [None, None]
    assert word_boxes([], [(0, 0), (9, 0), (9, 9)], []) == []


def test_shares_are_places_of_tokens() -> None:
    reading = Reading(tuple("ab c"), (1.0,) * 4, 1.0)
    words = [Word("ab", 1, 0, 2), Word("c", 1, 3, 4)]
    assert shares(reading, words) == [(0, 0.5), (0.75, 1)]
