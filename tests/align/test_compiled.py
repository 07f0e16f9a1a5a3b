"""The compiled programmes are the plain ones, to the bit."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba", reason="needs the extra [fast]")

from ensemble_htr.align import band, compiled, network
from ensemble_htr.align.costs import AlignOptions, Costs

LINE = st.text(alphabet="abAé ,", max_size=12).map(tuple)
OPTIONS = st.sampled_from(
    [
        AlignOptions(),
        AlignOptions(1, 1, 1, 1),
        AlignOptions(gap=0.75, space=1.3, fold=0, refine=2),
        AlignOptions(pairs=(("a", "b", 0.5), ("e", ",", 0.8))),
    ]
)
ROWS = st.lists(
    st.tuples(LINE, st.integers(1, 3)), min_size=2, max_size=5, unique_by=lambda x: x[0]
)


@settings(max_examples=300, deadline=None)  # the first call compiles
@given(ROWS, OPTIONS)
def test_paths_are_the_same(rows: list[tuple[tuple[str, ...], int]], options: AlignOptions) -> None:
    strings, weights = [r[0] for r in rows], [r[1] for r in rows]
    costs = Costs(options)
    for exact in (False, True)[: 1 + (len(rows) == 3)]:
        fast = compiled.align(strings, weights, options, exact)
        assert fast == network._plain(strings, weights, options, costs, exact)


@settings(max_examples=300, deadline=None)
@given(ROWS, st.lists(LINE, min_size=1, max_size=6, unique=True), OPTIONS)
def test_threads_are_the_same(
    rows: list[tuple[tuple[str, ...], int]], strings: list[tuple[str, ...]], options: AlignOptions
) -> None:
    costs, weights = Costs(options), Counter(dict(rows))
    paths = network.align_strings(weights.elements(), options, costs)
    strings = [tokens for tokens in strings if tokens not in paths]
    draft = network._Draft.of(dict(paths), weights)
    for tokens in strings:
        draft.thread(tokens, costs, options)
    fast = compiled.thread(paths, [weights[t] for t in paths], strings, options)
    assert fast == draft.paths
    assert fast is not None and list(fast) == list(draft.paths)


def test_a_middle_too_long_for_one_table_is_not_threaded() -> None:
    row, other, options = tuple("ab" * 300), tuple("cd" * 300), AlignOptions()
    assert compiled.thread({row: row}, [1], [other], options) is None
    paths, weights = {row: list(row)}, Counter({row: 1})
    found = network.thread_strings(paths, weights, [other], options, Costs(options))
    assert [tuple(t for t in path if t) for path in found.values()] == [row, other]


def noisy(text: str, rng: random.Random, rate: float = 0.1) -> tuple[str, ...]:
    out = []
    for c in text:
        if rng.random() < rate:
            out.append(rng.choice(("", rng.choice("aeio "), c + rng.choice("nr"))))
        else:
            out.append(c)
    return tuple("".join(out))


@pytest.mark.parametrize("pairs", [(), (("a", "o", 0.5),)])
@pytest.mark.parametrize("max_cells", [4_000_000, 20_000])  # the second: anchors alone
def test_long_lines_are_the_same(max_cells: int, pairs: tuple[tuple[str, str, float], ...]) -> None:
    rng = random.Random(3)
    text = "".join(rng.choice("abcdeé fghilmnoprstuv ") for _ in range(1500))
    strings = [noisy(text, rng), noisy(text[500:] + text[:200], rng), noisy(text, rng)]
    options = AlignOptions(band=40, max_cells=max_cells, pairs=pairs)
    fast = compiled.align(strings, [1, 2, 1], options, False)
    assert fast == network._plain(strings, [1, 2, 1], options, Costs(options), False)


def test_a_very_long_line_of_many_engines_takes_seconds() -> None:
    rng = random.Random(4)
    text = "".join(rng.choice("abcdeé fghilmnoprstuv ") for _ in range(20_000))
    strings = [noisy(text, rng) for _ in range(3)]
    strings.append(strings[0][3000:])  # an engine that lost its start
    paths = compiled.align(strings, [1] * 4, AlignOptions(), False)
    assert paths is not None
    for tokens, path in zip(strings, paths, strict=True):
        assert tuple(t for t in path if t) == tokens
    lost = np.array(paths[3])
    assert (lost[:2000] == "").mean() > 0.95


def test_more_symbols_than_the_table_holds() -> None:
    line = tuple(chr(0x4E00 + i) for i in range(2000))
    assert compiled.align([line, line[1:]], [1, 1], AlignOptions(), False) is None
    for start in range(0, 2000, 500):  # the table is begun anew
        part = line[start : start + 500]
        assert compiled.align([part, part[1:]], [1, 1], AlignOptions(), False) == [
            list(part), ["", *part[1:]],
        ]  # fmt: skip


def test_numba_waits_for_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_CELLS", [0])
    line = tuple("a line of usual length")
    assert not compiled.pays([line, line[1:]], AlignOptions())
    assert compiled.pays([line * 500] * 16, AlignOptions())
    monkeypatch.setattr(compiled, "_CELLS", [0])
    assert not compiled.threading_pays(10)
    assert compiled.threading_pays(1000)
    monkeypatch.setattr(compiled.jit, "available", lambda: False)
    assert not compiled.pays([line * 500] * 16, AlignOptions())


def test_the_search_is_optimal_where_its_second_band_is_allowed() -> None:
    seen = []
    band.search(
        1000, 1000, AlignOptions(), lambda b: (seen.append(b), (7, []))[1],
        lambda: (np.arange(1000), np.arange(1000)), lambda cost: 50 * cost,
    )  # fmt: skip
    assert len(seen) == 2
    assert (seen[1][1] - seen[1][0]).max() == 701
