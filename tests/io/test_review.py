"""review.csv: the order by errors per second, doubtful names, and a merge that stays small."""

from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.errors import OutputError
from ensemble_htr.io import review
from ensemble_htr.io.results import PageResult, WriteOptions
from ensemble_htr.io.review import (
    COLUMNS,
    ReviewRow,
    clear_review,
    merge_review,
    names,
    review_file,
    review_rows,
)
from ensemble_htr.io.write_table import unguarded
from ensemble_htr.types import Line, Page, Reading, Word

from .test_rivals import readings
from .test_write import reading, results


def sure(text: str, confidence: float = 0.9, word: float = 0.6) -> Reading:
    """A reading whose characters and words are all equally sure."""
    words, place = [], 0
    for part in text.split(" "):
        words.append(Word(part, word, place, place + len(part)))
        place += len(part) + 1
    return Reading(tuple(text), (confidence,) * len(text), 0.5, tuple(words))


def page_of(name: str, *chosen: Reading) -> PageResult:
    lines = tuple(Line(f"l{i}") for i in range(len(chosen)))
    return PageResult(Page(name, lines), {f"l{i}": r for i, r in enumerate(chosen)})


def leave(out: Path, key: str, rows: list[ReviewRow], group: str = "pages") -> None:
    name, data = review_file(key, rows, group)
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_bytes(data)


def merged(out: Path) -> list[dict[str, str]]:
    with open(out / "review.csv", encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_errors_seconds_and_their_order() -> None:
    long, short, empty = sure("a" * 40), sure("abcd", 0.5), Reading((), (), 0.25)
    rows = review_rows(page_of("p", long, short, empty, sure("fine", 0.99)))
    assert [(row.line, round(row.errors, 3), round(row.seconds, 3)) for row in rows] == [
        ("l1", 2.0, 2.4), ("l0", 4.0, 6.0), ("l2", 0.75, 2.0),
    ]  # fmt: skip
    assert [row.rate for row in rows] == sorted((r.rate for r in rows), reverse=True)


def test_what_a_human_confirmed_is_not_to_be_looked_at() -> None:
    line = Line("l", text="wahr", confirmed=True)
    result = PageResult(Page("p", (line,)), {"l": sure("falsch")})
    assert review_rows(result) == []
    assert [row.text for row in review_rows(result, WriteOptions(True))] == ["falsch"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Jean Durand de Paris", "Jean Durand Paris"),
        ("Vente du 3 Mai par Roux", "Mai Roux"),  # the first word has its capital from there
        ("le sieur d'Aubigny et l’Hôtel", "d'Aubigny l’Hôtel"),
        ("fini. Ensuite vient M. Roux", "Roux"),  # a sentence begins; a title does not end one
        ("chez M^me Roux, Mr J. Petit", "Roux, Petit"),
        ("et (Saint-Denis) le 3 Mai !", "(Saint-Denis) Mai"),
        ("le tout À la IIe A. 1813", "IIe"),
        ("rien du tout", ""),
        ("", ""),
    ],
)
def test_words_that_look_like_names(text: str, expected: str) -> None:
    assert [word.text for word in names(sure(text))] == expected.split()


def test_names_are_doubted_sooner() -> None:
    [row] = review_rows(page_of("p", sure("vu par Durand", word=0.7)))
    assert (row.doubtful_words, row.doubtful_names) == ((), ("Durand",))
    [row] = review_rows(page_of("p", sure("vu par Durand", word=0.4)))
    assert row.doubtful_words == ("vu", "par", "Durand") and row.doubtful_names == ("Durand",)
    [row] = review_rows(page_of("p", sure("vu par Durand", word=0.8)))
    assert row.doubtful_names == ()


@settings(deadline=None)
@given(st.lists(readings(), max_size=4))
def test_rows_are_sane(chosen: list[Reading]) -> None:
    for row in review_rows(page_of("p", *chosen)):
        assert row.errors >= 0 and row.seconds >= review.SECONDS_A_LINE
        assert len(row.cells()) == len(COLUMNS)


@settings(deadline=None, max_examples=30)
@given(results())
def test_what_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory, result: PageResult
) -> None:
    out = tmp_path_factory.mktemp("out")
    rows = review_rows(result)
    leave(out, "p", rows)
    assert merge_review(out) == len(rows)
    found = merged(out)
    assert [(f["page"], unguarded(f["line"]), unguarded(f["text"])) for f in found] == [
        (row.page, row.line, row.text) for row in rows
    ]


def test_all_pages_are_in_one_order(tmp_path: Path) -> None:
    pages = {f"p{i}": review_rows(page_of(f"p{i}", sure("x" * i, 1 - i / 20))) for i in range(2, 9)}
    for key, rows in pages.items():
        leave(tmp_path, key, rows)
    leave(tmp_path, "part 0", review_rows(page_of("other", sure("zz", 0.1))), "lines")
    assert merge_review(tmp_path) == 8
    rates = [float(row["errors per second"]) for row in merged(tmp_path)]
    assert rates == sorted(rates, reverse=True)
    clear_review(tmp_path, "lines")
    leave(tmp_path, "p3", [])  # read again, better
    assert merge_review(tmp_path) == 6
    assert {row["page"] for row in merged(tmp_path)} == set(pages) - {"p3"}
    assert sorted(p.name for p in tmp_path.iterdir()) == [".ensemble-htr", "review.csv"]
    assert not list((tmp_path / ".ensemble-htr" / "review").glob(".merge*"))


def test_no_rows_make_a_file_with_a_header(tmp_path: Path) -> None:
    assert merge_review(tmp_path / "new") == 0
    assert (
        (tmp_path / "new" / "review.csv").read_text("utf-8-sig").split("\n")[0].startswith("page,")
    )


def test_the_same_order_from_many_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(20):
        leave(tmp_path, f"p{i:02}", review_rows(page_of(f"p{i:02}", *(
            sure("x" * (1 + (i * j) % 7), 0.5 + j / 20) for j in range(9)))))  # fmt: skip
    merge_review(tmp_path)
    whole = (tmp_path / "review.csv").read_bytes()
    monkeypatch.setattr(review, "_CHUNK", 7)
    merge_review(tmp_path)
    assert (tmp_path / "review.csv").read_bytes() == whole


def test_memory_does_not_grow_with_the_number_of_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "_CHUNK", 500)
    rows = [
        ReviewRow("p", f"l{i}", "some text of a line" * 3, i % 97, 5.0, 0.5, (), (), ())
        for i in range(100)
    ]
    peaks = []
    for count in (20, 100):
        out = tmp_path / str(count)
        for i in range(count):
            leave(out, f"p{i}", rows)
        tracemalloc.start()
        assert merge_review(out) == 100 * count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_damage_costs_a_page_not_the_file(tmp_path: Path) -> None:
    leave(tmp_path, "good", review_rows(page_of("good", sure("abcd", 0.5))))
    folder = tmp_path / ".ensemble-htr" / "review" / "pages"
    (folder / "bad.csv").write_bytes(b"\xff\xfe,\x00")
    (folder / "short.csv").write_text("a,b\n")
    (folder / "words.csv").write_text(",".join(["x"] * len(COLUMNS)) + "\n")
    assert merge_review(tmp_path) == 1


def test_nothing_in_it_runs(tmp_path: Path) -> None:
    leave(tmp_path, "=p", review_rows(page_of("=p", reading("=HYPERLINK(1)"))))
    merge_review(tmp_path)
    [row] = merged(tmp_path)
    assert row["page"] == "'=p" and row["text"] == "'=HYPERLINK(1)"


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"review\.csv: cannot be written"):
        merge_review(tmp_path / "file")
