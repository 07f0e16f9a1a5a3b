"""Lines of several engines become one list: a union, nothing lost, nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.batch import Engine, MergedLine, engine_argument, merge
from ensemble_htr.batch.pages import shard_argument
from ensemble_htr.errors import InputError, UsageError
from ensemble_htr.io.records import Record

KEYS = st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from("abcdef")), unique=True)


def engine(name: str, keys: list[tuple[str, str]]) -> Engine:
    records = tuple(Record(i, f"{name} {page}{i}", page) for page, i in keys)
    return Engine(name, Path(name), records, {})


def merged(engines: list[Engine]) -> tuple[list[MergedLine], dict[str, int]]:
    with merge(engines) as found:
        assert len(found) == len(list(found))
        return list(found), found.missing


@given(st.lists(KEYS, min_size=1, max_size=3))
def test_the_union_in_the_order_of_the_first_that_has_it(
    lists: list[list[tuple[str, str]]],
) -> None:
    engines = [engine(f"e{i}", keys) for i, keys in enumerate(lists)]
    lines, missing = merged(engines)
    union = list(dict.fromkeys(key for keys in lists for key in keys))
    assert [(line.page, line.id) for line in lines] == union
    for line in lines:
        key = line.page, line.id
        has = [e.name for e, keys in zip(engines, lists, strict=True) if key in keys]
        assert [row.source for row in line.rows] == has
        assert all(row.text == f"{row.source} {line.page}{line.id}" for row in line.rows)
    assert missing == {
        e.name: len(union) - len(keys) for e, keys in zip(engines, lists, strict=True)
    }


@given(st.permutations([0, 1, 2]))
def test_the_sample_does_not_see_the_order_of_engines(order: list[int]) -> None:
    engines = [engine(f"e{i}", [("p", "a"), ("p", "b")]) for i in range(3)]
    with merge([engines[i] for i in order]) as one, merge(engines) as other:
        assert one.sample() == other.sample()


def test_a_row_without_a_page_stands_for_any_but_not_for_two() -> None:
    lines, _ = merged([engine("x", [("", "a")]), engine("y", [("p", "a")])])
    assert [(line.page, line.id, len(line.rows)) for line in lines] == [("p", "a", 2)]
    with pytest.raises(InputError, match="several pages"):
        merged([engine("x", [("", "a")]), engine("y", [("p", "a"), ("q", "a")])])


def test_nbest_lists_become_alternatives_best_first() -> None:
    record = Record("a", "b", nbest=(("b", -1.0), ("c", -2.0), ("c ", -3.0)))
    (line,), _ = merged([Engine("e", Path("e"), (record,), {})])
    assert line.rows[0].score == -1.0
    assert [(h.source, h.text, h.score) for h in line.alternatives] == [
        ("e", "b", -1.0), ("e", "c", -2.0),
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["x", "=p", "x=", "a#1=p"])
def test_engine_arguments(value: str) -> None:
    with pytest.raises(UsageError):
        engine_argument(value)
    assert engine_argument("n=a=b") == ("n", Path("a=b"))


@pytest.mark.parametrize("value", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_shard_arguments(value: str) -> None:
    with pytest.raises(UsageError):
        shard_argument(value)
    assert shard_argument("2/3") == (2, 3) and shard_argument(None) == (1, 1)
