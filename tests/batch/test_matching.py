"""Lines without a common id: matched by place, number or text, and never lost or doubled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.batch import Engine, MergedLine, load_engines, merge
from ensemble_htr.batch.matching import Strips, by_place, page_strips
from ensemble_htr.errors import InputError
from ensemble_htr.io.records import Record
from ensemble_htr.types import Line, Page

TEXTS = [
    "demeurant a Paris rue de la Paix", "le vingt trois janvier mil huit cent", "Monsieur le maire",
    "j'ai l'honneur de vous adresser", "les pieces que vous demandez", "votre tres humble",
    "et tres obeissant serviteur", "signe Dupont notaire royal",
]  # fmt: skip
NS = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"


def worse(text: str) -> str:
    return text.replace("e", "c").replace("q", "g")


def rectangle(i: int, shift: float = 0.0, left: float = 10.0, right: float = 190.0) -> str:
    top, bottom = 10 + 20 * i + shift, 26 + 20 * i + shift
    return f"{left},{top} {right},{top} {right},{bottom} {left},{bottom}"


def page(
    folder: Path, ids: list[str], texts: list[str | None], shift: float = 0.0, scale: float = 1.0,
    bare: bool = False, name: str = "p.xml",
) -> Path:  # fmt: skip
    """PAGE of 200 x 200 (times ``scale``); ``bare`` lines have no place."""
    lines = []
    for i, (line, text) in enumerate(zip(ids, texts, strict=True)):
        points = " ".join(
            ",".join(str(float(v) * scale) for v in pair.split(","))
            for pair in rectangle(i, shift).split()
        )
        place = "" if bare else f'<Coords points="{points}"/>'
        said = "" if text is None else f"<TextEquiv><Unicode>{text}</Unicode></TextEquiv>"
        lines.append(f'<TextLine id="{line}">{place}{said}</TextLine>')
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(
        f'<PcGts xmlns="{NS}"><Page imageFilename="p.png" imageWidth="{int(200 * scale)}" '
        f'imageHeight="{int(200 * scale)}"><TextRegion id="r">{"".join(lines)}</TextRegion></Page>'
        "</PcGts>",
        encoding="utf-8",
    )
    return folder


def merged(*engines: tuple[str, Path]) -> tuple[list[MergedLine], list[str]]:
    with merge(load_engines(engines)) as found:
        return list(found), found.report()


def table(lines: list[MergedLine]) -> list[tuple[str, list[str]]]:
    return [(line.id, [row.source for row in line.rows]) for line in lines]


@settings(max_examples=30)
@given(st.permutations(range(6)), st.floats(-4, 4), st.floats(0.5, 3), st.booleans())
def test_places_find_each_other_whatever_the_scale(
    order: list[int], shift: float, scale: float, baselines: bool
) -> None:
    def lines(step: float, size: float, bare: bool) -> dict[str, Strips]:
        made = []
        for i in range(6):
            points = [tuple(map(float, p.split(","))) for p in rectangle(i, step).split()]
            scaled = tuple((x * size, y * size) for x, y in points)
            foot = tuple((x * size, (22 + 20 * i + step) * size) for x in (10.0, 190.0))
            made.append(Line(str(i), foot, () if bare and i % 2 else scaled))
        return page_strips(Page("p", tuple(made), round(200 * size), round(200 * size)))

    one, other = lines(0, 1, False), lines(shift, scale, baselines)
    pairs = by_place([one[str(i)] for i in range(6)], [other[str(i)] for i in order])
    assert {(i, order[j]) for i, j in pairs} == {(i, i) for i in range(6)}


def test_a_line_in_halves_and_a_far_one_are_no_pair_twice() -> None:
    whole = Strips(np.array([[0.0, 0.0, 1.0, 0.1]]))
    halves = [Strips(np.array([[x, 0.0, x + 0.5, 0.1]])) for x in (0.0, 0.5)]
    far = Strips(np.array([[0.0, 0.5, 1.0, 0.6]]))
    assert len(by_place([whole], halves)) == 1
    assert by_place([whole, None], [far, None]) == []
    assert page_strips(Page("p", (Line("a", ((0.0, 0.0), (1.0, 1.0))),))) == {}  # of no known size


def test_other_ids_and_sizes_but_the_same_places(tmp_path: Path) -> None:
    texts: list[str | None] = ["abcdefgh", "ijklmnop", "qrstuvwx"]
    one = page(tmp_path / "a", ["a", "b", "c"], texts)
    two = page(tmp_path / "b", ["x", "y"], ["qqqqqqqqqq", "zz"], shift=3, scale=2)
    lines, said = merged(("a", one), ("b", two))
    assert table(lines) == [("a", ["a", "b"]), ("b", ["a", "b"]), ("c", ["a"])]
    assert said == ["engine b: lines matched without a common id: 2 by their place"]


def test_ids_that_are_the_same_by_chance_give_way_to_places(tmp_path: Path) -> None:
    texts: list[str | None] = list(TEXTS[:4])
    one = page(tmp_path / "a", ["l1", "l2", "l3", "l4"], texts)
    two = page(tmp_path / "b", ["l4", "l3", "l2", "l9"], [worse(t) for t in TEXTS[:4]])
    lines, _ = merged(("a", one), ("b", two))
    assert [(line.id, line.rows[1].text) for line in lines] == [
        (f"l{i + 1}", worse(TEXTS[i])) for i in range(4)
    ]
    other = page(tmp_path / "c", ["l4", "l3", "l2", "l1"], list(texts), bare=True)
    lines, _ = merged(("a", one), ("c", other))  # nothing else says which is meant
    assert [line.rows[1].text for line in lines] == TEXTS[3::-1]


def test_an_extra_line_under_a_taken_id_gets_another(tmp_path: Path) -> None:
    one = page(tmp_path / "a", ["l1", "l2", "l3"], list(TEXTS[:3]))
    two = page(tmp_path / "b", ["l2", "l3", "l1", "l4"], [*map(worse, TEXTS[:3]), "new"])
    three = page(tmp_path / "c", ["l3", "l1", "l4", "l2"], [*map(worse, TEXTS[:3]), "new"])
    lines, said = merged(("a", one), ("b", two), ("c", three))
    assert table(lines) == [
        ("l1", ["a", "b", "c"]), ("l2", ["a", "b", "c"]), ("l3", ["a", "b", "c"]),
        ("l4", ["b", "c"]),
    ]  # fmt: skip
    assert "engine b: 1 lines match no line of the engines before it (p/l4)" in said
    lines, _ = merged(("a", one), ("b", page(tmp_path / "d", ["l2", "l3", "x", "l1"],
                                             [*map(worse, TEXTS[:3]), "new"])))  # fmt: skip
    assert [line.id for line in lines] == ["l1", "l2", "l3", "l1-2"]


@pytest.mark.parametrize(
    ("rows", "way"),
    [
        ([worse(t) for t in TEXTS], "order"),  # as many rows as lines
        (["zzzz"] * 7 + ["q"], "order"),  # however badly read
        ([worse(t) if i != 3 else "" for i, t in enumerate(TEXTS)], "order"),  # one left blank
        ([worse(t) for i, t in enumerate(TEXTS) if i not in (2, 7)], "text"),
        (["a heading", *map(worse, TEXTS[:-1])], "text"),  # as many, but others
    ],
)
@pytest.mark.parametrize("one_file", [True, False])
def test_plain_lines_go_by_number_or_text(
    tmp_path: Path, rows: list[str], way: str, one_file: bool
) -> None:
    first = page(tmp_path / "a", [f"l{i}" for i in range(8)], list(TEXTS))
    place = tmp_path / "txt"
    place.mkdir()
    file = place / ("whatever.txt" if one_file else "p.txt")
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    lines, said = merged(("t", file if one_file else place), ("a", first))
    pairs = [[row.text for row in line.rows] for line in lines if len(line.rows) == 2]
    assert f"{len(pairs)} by their {way}" in said[0]
    assert sum(len(line.rows) for line in lines) == 8 + sum(map(bool, rows))
    if rows[0] != "zzzz":
        assert all(one == worse(other) for one, other in pairs)


def test_lines_that_nobody_read_take_plain_ones(tmp_path: Path) -> None:
    first = page(tmp_path / "a", ["x", "y", "z"], [None, None, None])
    (tmp_path / "p.txt").write_text("le roi\nla reine\nle fou\n", encoding="utf-8")
    lines, _ = merged(("a", first), ("t", tmp_path / "p.txt"))
    assert [(line.id, line.rows[0].text) for line in lines] == [
        ("x", "le roi"), ("y", "la reine"), ("z", "le fou"),
    ]  # fmt: skip
    with merge(load_engines([("a", first)])) as found:
        assert len(found) == 0 and found.missing == {"a": 0} and list(found) == []


ROWS = st.lists(
    st.tuples(st.sampled_from(["", "p", "q"]), st.sampled_from(["a", "b", "c", "d"]),
              st.sampled_from([*TEXTS, "", "x"])),
    unique_by=lambda row: row[1], max_size=4,
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), ROWS), min_size=1, max_size=3))
def test_no_row_is_lost_and_none_comes_twice(
    engines: list[tuple[bool, list[tuple[str, str, str]]]],
) -> None:
    given_rows, made = [], []
    for i, (plain, rows) in enumerate(engines):
        ids = [f"line-{n + 1}" if plain else key for n, (_, key, _) in enumerate(rows)]
        records = tuple(
            Record(name, text, "p" if plain else where, numbered=plain)
            for name, (where, _, text) in zip(ids, rows, strict=True)
        )
        given_rows += [(f"e{i}", r.text) for r in records]
        made.append(Engine(f"e{i}", Path("x"), records, {}, plain=plain))
    try:
        found = merge(made)
    except InputError as error:
        assert "several pages" in str(error)
        return
    with found:
        lines = list(found)
        assert len(found) == len(lines) and len({(x.page, x.id) for x in lines}) == len(lines)
        assert sorted((r.source, r.text) for x in lines for r in x.rows) == sorted(given_rows)
        assert found.keep_apart({}) == len(lines) == len(list(found.rest_keys()))
