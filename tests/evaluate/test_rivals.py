"""What is ours of the comparison with other recognizers: budget, logs, readings, tables. Neither
kraken nor tesseract is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ensemble_htr.evaluate import score_records
from ensemble_htr.io.records import Record
from ensemble_htr.text import profile
from tests.evaluate.recipes import recipe

LOG: list[dict[str, Any]] = [
    {"lines": 500, "seconds": 100.0, "loss": 9.0, "checking": 0.0},
    {"lines": 1000, "seconds": 200.0, "loss": 8.0, "checking": 20.0, "val_accuracy": 0.25},
    {"lines": 1500, "seconds": 360.0, "loss": 7.0, "checking": 40.0, "val_accuracy": 0.5},
    {"lines": 2000, "seconds": 720.0, "loss": 7.0, "checking": 60.0, "val_accuracy": 0.375},
    {"lines": 2500, "seconds": 900.0, "loss": 6.0, "checking": 60.0},
]


@pytest.fixture(params=["rivals_table", "rivals_kraken"])
def both(request: pytest.FixtureRequest) -> ModuleType:
    return recipe(request.param)


def test_training_and_checking_are_counted_apart_and_go_on() -> None:
    ticks: Iterator[float] = iter([0.0, 5.0, 7.0, 8.0, 18.0, 100.0, 101.0, 104.0])
    kraken = recipe("rivals_kraken")
    budget = kraken.Budget([], lambda: next(ticks))
    budget.skip()  # loading: 5 seconds
    budget.trained(2)
    budget.trained(1)
    budget.checked()
    assert (budget.spent, budget.checking, budget.lines) == (3.0, 10.0, 3)
    log = [{"seconds": 3.0, "checking": 10.0, "lines": 3}]
    again = kraken.Budget(log, lambda: next(ticks))
    again.trained(1)
    again.checked()
    assert (again.spent, again.checking, again.lines) == (4.0, 13.0, 4)


def test_a_row_that_was_not_finished_is_left_out(tmp_path: Path, both: ModuleType) -> None:
    log = tmp_path / "log.jsonl"
    rows_of = getattr(both, "rows_of", None) or both.read_rows
    assert rows_of(log) == []
    log.write_text(json.dumps(LOG[0]) + "\n" + '{"lines": 10')
    assert rows_of(log) == LOG[:1]
    with log.open("a") as file:
        file.write(json.dumps(LOG[1]) + "\n")
    if both is recipe("rivals_kraken"):  # it goes on writing, so it cuts the row off
        assert rows_of(log) == LOG[:2]


def test_the_lines_of_the_curve_are_always_the_same() -> None:
    kraken = recipe("rivals_kraken")
    listed = [f"{number}.png" for number in range(1000)]
    assert kraken.sample(listed) == kraken.sample(listed)
    assert len(set(kraken.sample(listed))) == kraken.CHECKED
    assert sorted(kraken.sample(listed[:7])) == listed[:7]


def test_the_state_of_a_training() -> None:
    table = recipe("rivals_table")
    state = table.training(LOG)
    assert state == table.Training(2500, 900.0, 60.0, 1500, 360.0, 0.5)
    assert table.training(LOG[:1]) is None and table.training([]) is None
    assert table.name_of("kraken", state, 4.12) == "kraken at 0.25 of 4.12 core-hours"
    assert table.name_of("tesseract", state, 4.12) == "tesseract"
    assert table.name_of("kraken", None, 4.12) == "kraken"


def test_pages_without_a_word_keep_their_place() -> None:
    rows = [
        "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tl\tt\tw\th\tconf\ttext",
        "1\t1\t0\t0\t0\t0\t0\t0\t9\t9\t-1\t",
        "5\t1\t1\t1\t1\t1\t0\t0\t9\t9\t96.1\tle",
        "5\t1\t1\t1\t1\t2\t0\t0\t9\t9\t91.0\troi ",
        "1\t2\t0\t0\t0\t0\t0\t0\t9\t9\t-1\t",
        "5\t3\t1\t1\t1\t1\t0\t0\t9\t9\t50.0\t ",
        '5\t4\t1\t1\t1\t1\t0\t0\t9\t9\t50.0\t"été',
    ]
    texts = recipe("rivals_table").texts_of_tsv("\n".join(rows) + "\n", 5)
    assert texts == ["le roi", "", "", '"été', ""]


def test_tables() -> None:
    table = recipe("rivals_table")
    truth = [Record("1", "le roy", "p", "d"), Record("2", "une ville", "p", "e")]
    state, form = table.training(LOG), profile("fr-archive")
    kraken = table.name_of("kraken", state, 0.5)
    systems = {
        kraken: [Record("1", "le ro", "p", "d"), Record("2", "un vile", "p", "e")],
        "ensemble trio": [Record("1", "le roy", "p", "d"), Record("2", "une vile", "p", "e")],
    }
    reports = {"val": score_records(truth, systems, form, letters_only=True)}
    first, _, *rows = table.scores(reports).splitlines()
    assert first == "| CER %, WER % | val |"
    assert rows[0].startswith("| kraken at 0.25 of 0.50 core-hours | 20.00 [") and len(rows) == 2
    assert "], 75.00 [" in rows[0] and rows[1].startswith("| ensemble trio | 6.67 [")
    (note,) = table.kraken_notes(reports, state, 0.5, 0.5125)
    assert "1,500 lines (0.10 core-hours)" in note and "50.00 % by its own" in note
    assert "51.25 % by ours" in note and "val 33 %" in note
    assert table.kraken_notes(reports, None, 0.5, 0.0) == []
    assert table.plain(reports["val"])["ensemble trio"]["cer"]["value"] == pytest.approx(1 / 15)
    speeds = table.speeds({"kraken": 10.0, "crnn": 2.0}, 20).splitlines()
    assert speeds[2:] == ["| kraken | 2.0 | 1.0 |", "| crnn | 10.0 | 5.0 |"]


def test_curves_stand_in_the_order_of_hours(tmp_path: Path) -> None:
    table = recipe("rivals_table")
    ours = [{"seconds": 540.0, "lines": 10_000, "val_cer_letters": 0.4}]
    rows = table.curves(LOG, ours).splitlines()[2:]
    assert rows == [
        "| 0.06 | 1,000 | 75.0 |  |",
        "| 0.10 | 1,500 | 50.0 |  |",
        "| 0.15 | 10,000 |  | 40.0 |",
        "| 0.20 | 2,000 | 62.5 |  |",
    ]
    pytest.importorskip("matplotlib")
    table.draw(LOG, ours, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("count", [0, 1, 8, 9, 77])
def test_each_pass_has_every_line_once_with_those_of_like_width(count: int) -> None:
    kraken = recipe("rivals_kraken")
    widths = [(37 * i) % 50 for i in range(count)]
    steps = kraken._Steps(widths)
    drawn = list(steps)
    assert len(drawn) == len(steps)
    assert sorted(i for step in drawn for i in step) == list(range(count))
    spans = sorted((min(widths[i] for i in s), max(widths[i] for i in s)) for s in drawn)
    assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:], strict=False))


def test_a_part_of_the_pages_is_in_any_larger_one() -> None:
    pytest.importorskip("torch", reason="needs the extra [recognize]")
    pytest.importorskip("fontTools", reason="needs the extra [pdf]")
    trials = recipe("trials")
    from ensemble_htr.train.data import Sample

    image = np.zeros((4, 4), np.uint8)
    lines = [
        Sample(f"page{i}/{k}", "d", "h", "s", "text", image) for i in range(200) for k in range(2)
    ]
    whole, half, quarter = (trials.portion_of(lines, part) for part in (1.0, 0.5, 0.25))
    assert whole == lines
    assert set(map(id, quarter)) < set(map(id, half)) < set(map(id, lines))
    assert 0.4 < len(half) / len(lines) < 0.6 and len(half) % 2 == 0  # whole pages


def test_schedules_end_where_the_rate_rises() -> None:
    pytest.importorskip("torch", reason="needs the extra [recognize]")
    hours = recipe("hours")
    rates = [2.0, 1.0, 0.1, 1.5, 0.7, 0.02]
    rows = [
        {"rate": r, "seconds": 3601.0 * (i + 1), "val_cer_letters": 0.4 / (i + 1) ** 0.5}
        for i, r in enumerate(rates)
    ]
    assert hours.ends(rows) == [rows[2], rows[5]]
    slope, _ = hours.law(rows)
    assert slope == pytest.approx(-0.5)
    assert hours.forecast(rows, 24 * 3601 / 3600) == pytest.approx(40 / 24**0.5)
