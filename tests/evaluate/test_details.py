"""Words, confidences, pages, ensembles and corrections of an evaluation."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.cli.evaluate import evaluate
from ensemble_htr.errors import InputError, UsageError
from ensemble_htr.evaluate import (
    Options,
    confidences,
    facts_of,
    read_lexicon,
    score_records,
    to_text,
)
from ensemble_htr.evaluate.groups import Facts, LineFacts
from ensemble_htr.evaluate.statistics import verdict
from ensemble_htr.evaluate.words import WordTally, word_kinds
from ensemble_htr.io.records import Record
from ensemble_htr.metrics import Counts, Estimate, alignment_pairs
from ensemble_htr.text import PROFILES, Rules, graphemes, make_profile, profile

ARCHIVE = profile("fr-archive")
LINE = st.text("aBé 1|^\u0627\U00010348", max_size=8).map(lambda t: unicodedata.normalize("NFC", t))
ROWS = st.lists(st.tuples(LINE, LINE, LINE, st.sampled_from("de")), min_size=1, max_size=5)


def lines(texts: list[str], docs: str = "", page: str = "p") -> list[Record]:
    docs = docs or "d" * len(texts)
    return [Record(str(i), t, page, d) for i, (t, d) in enumerate(zip(texts, docs, strict=True))]


@settings(max_examples=60, deadline=None)
@given(ROWS, st.sampled_from(sorted(PROFILES)))
def test_everything_adds_up_under_every_profile(
    rows: list[tuple[str, str, str, str]], name: str
) -> None:
    docs = "".join(r[3] for r in rows)
    truth, one, two = (lines([r[i] for r in rows], docs) for i in range(3))
    options = Options(beside=(profile("nfc"),), engines=("a", "b"), lexicon={"ab"})
    report = score_records(truth, {"a": one, "b": two, "c": truth}, profile(name), options=options)
    for system in report.systems:
        counts = system.overall.characters
        assert sum(system.slips.values()) == counts.edits
        assert Counts.sum(system.pages.values()) == counts
        assert sum(c.characters.edits for c in system.documents.values()) == counts.edits
        assert 0 <= system.spread.capped <= 1 and 0 <= system.unordered.word_f1 <= 1
        assert system.unordered.cer <= system.overall.cer.value + 1e-9
        everything = system.word_accuracy.get("all")
        assert (everything.words if everything else 0) == system.overall.words.reference
        for kind in system.word_accuracy.values():
            assert kind.exact <= kind.near[0] <= kind.near[1] <= kind.words
    found = report.ensemble
    assert found is not None
    assert found.oracle_network <= min(e.cer for e in found.engines) + 1e-9
    assert found.oracle_lines <= found.best.cer + 1e-9
    perfect = report.systems[2]
    assert perfect.overall.characters.edits == 0
    for made in perfect.corrections:
        assert (made.counts.missed, made.counts.changed, made.counts.broken) == (0, 0, 0)
    assert report.beside[0].characters["c"].edits == 0


def kinds(text: str, lexicon: frozenset[str] = frozenset()) -> list[tuple[str, ...]]:
    return word_kinds(graphemes(text), lexicon)


def test_kinds_of_words() -> None:
    found = kinds("Le sieur Dupont né le 12 mars 1850, mort à 3 h.", frozenset({"né", "mort"}))
    assert found[2] == ("all", "capitalised", "names", "out of lexicon")
    assert found[3] == ("all", "in lexicon")
    assert [i for i, k in enumerate(found) if "dates" in k] == [5, 6, 7]
    assert [i for i, k in enumerate(found) if "digits" in k] == [5, 7, 10]
    assert "dates" in kinds("le 3/4/1871 .")[1]
    assert kinds("  ") == []


@pytest.mark.parametrize(
    ("wanted", "read", "exact", "near"),
    [
        ("le roi", "le roi", 2, 2),
        ("le roi", "le roy", 1, 2),
        ("le roi", "leroi", 0, 2),  # a blank belongs to both
        ("le roi", "le ro i", 1, 2),
        ("le roi", "roi", 1, 1),
        ("le roi", "", 0, 0),
        ("roi", "roixx", 0, 0),
    ],
)
def test_words_are_right_with_the_blanks_round_them(
    wanted: str, read: str, exact: int, near: int
) -> None:
    tally = WordTally()
    tally.add(alignment_pairs(wanted, read), kinds(wanted))
    found = tally.accuracies()["all"]
    assert (found.exact, found.near[0]) == (exact, near)


def test_lexicons(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("L'Étang\t12\nDupont Martin\n\n", encoding="utf-8")
    assert read_lexicon([path]) == {"étang", "dupont", "martin"}
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        read_lexicon([path])
    with pytest.raises(InputError, match="no such list"):
        read_lexicon([tmp_path / "none"])


def sure(text: str, *values: float, line: float | None = None) -> Record:
    return Record("1", text, confidences=values, confidence=line)


def test_confidences_of_characters_words_and_lines() -> None:
    found = confidences([Record("1", "le roi")], [sure("le ri", 1, 1, 1, 0.5, 0.9)], ARCHIVE)
    assert found.characters is not None and found.words is not None and found.lines is not None
    assert found.characters.calibration.count == 5
    assert found.characters.calibration.auroc != found.characters.calibration.auroc  # all are right
    assert found.characters.review.needed[0] == pytest.approx(0.188)  # o is found beside r
    assert found.words.calibration.count == 2
    assert found.words.calibration.auroc == 1.0
    assert found.words.review.left[-1] == 0
    assert not found.given_lines
    assert found.lines.calibration.brier == pytest.approx(0.45**2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(LINE, LINE), min_size=1, max_size=5))
def test_checking_everything_mends_everything_that_was_read(rows: list[tuple[str, str]]) -> None:
    truth = lines([r[0] for r in rows])
    read = [
        Record(str(i), t, confidences=(0.5,) * len(graphemes(t)), confidence=0.25)
        for i, (_, t) in enumerate(rows)
    ]
    found = confidences(truth, read, ARCHIVE)
    unread = sum(len(ARCHIVE.tokens(w)) for w, r in rows if not ARCHIVE.apply(r))
    over = max(1, sum(len(ARCHIVE.tokens(w)) for w, _ in rows))
    for level, left in ((found.characters, unread), (found.words, unread), (found.lines, 0)):
        if level is not None:
            assert level.review.left[-1] == pytest.approx(left / over)


def test_words_with_confidences_of_their_own() -> None:
    record = Record("1", "le rot", words=(("le", 0.9), ("rot", 0.2)))
    found = confidences([Record("1", "le roi")], [record], ARCHIVE)
    assert found.characters is None and found.lines is None and found.words is not None
    assert found.words.calibration.brier == pytest.approx((0.1**2 + 0.2**2) / 2)


def test_a_missing_line_is_looked_at_first() -> None:
    truth = lines(["abcd", "efgh"])
    read = [Record("0", "abcx", "p", confidence=0.9)]
    found = confidences(truth, read, ARCHIVE)
    assert found.lines is not None
    assert found.lines.calibration.count == 1
    assert dict(found.lines.review.points)[0.5] == pytest.approx(1 / 8)


def test_lines_in_another_order_or_cut_otherwise() -> None:
    truth = lines(["le premier", "la seconde", "fin"])
    swapped = lines(["la seconde", "le premier", "fin"])
    report = score_records(truth, {"a": swapped}, ARCHIVE)
    assert report.systems[0].overall.characters.edits > 0
    assert report.systems[0].unordered.cer == 0
    assert report.systems[0].unordered.word_f1 == 1
    cut = [Record("x", "le premier la", "p"), Record("y", "seconde fim", "p")]
    found = score_records(truth, {"a": cut}, ARCHIVE).systems[0]
    assert found.unordered.recut == ("p",)
    assert [line.reading for line in found.lines] == ["le premier", "la seconde", "fim"]
    assert found.overall.characters.edits == 1
    assert not found.missing and not found.extra


def test_recut_lines_keep_their_confidences() -> None:
    truth = lines(["ab", "cd"])
    cut = [Record("x", "ab cx", "p", confidences=(0.1, 0.2, 0.3, 0.4, 0.5))]
    found = score_records(truth, {"a": cut}, ARCHIVE).systems[0]
    assert found.characters is not None
    assert found.characters.count == 4
    assert found.characters.ece == pytest.approx((0.9 + 0.8 + 0.6 + 0.5) / 4)


def test_who_alone_is_right_and_how_much_of_the_gap_is_closed() -> None:
    truth = lines(["abcdef"])
    systems = {
        "x": lines(["abcdzz"]), "y": lines(["abzzef"]), "z": lines(["zbcdez"]),
        "all": lines(["abcdez"]),
    }  # fmt: skip
    options = Options(engines=("x", "y", "z"))
    report = score_records(truth, systems, ARCHIVE, options=options)
    found = report.ensemble
    assert found is not None
    assert {e.name: e.alone for e in found.engines} == {"x": 0, "y": 1, "z": 0}
    assert (found.never, found.oracle_network) == (0, 0)
    assert found.vote == pytest.approx(1 / 6)
    assert found.gap_closed == {"all": pytest.approx(0.5)}
    made = {c.to: c.counts for c in report.systems[3].corrections}
    assert (made["x"].fixed, made["x"].missed, made["y"].broken) == (1, 1, 1)
    with pytest.raises(UsageError, match="no system is called 'w'"):
        score_records(truth, systems, ARCHIVE, options=Options(engines=("w", "x")))


def test_hands_and_types_of_lines(tmp_path: Path, page_xml: str) -> None:
    facts = Facts({("p", "0"): LineFacts("A", "margin")}, {"p": "B"}, {})
    found = score_records(
        lines(["abc", "de"]), {"a": lines(["abx", "de"])}, ARCHIVE, options=Options(facts=facts)
    ).systems[0]
    assert {h: s.characters.edits for h, s in found.hands.items()} == {"A": 1, "B": 0}
    assert {k: s.lines for k, s in found.kinds.items()} == {"": 1, "margin": 1}
    (tmp_path / "manifest.csv").write_text("doc,xml,hand\nd,p.xml,Anne\n")
    (tmp_path / "p.xml").write_text(page_xml)
    facts = facts_of(tmp_path)
    assert facts.of("p", "l1") == LineFacts("Anne", "heading")
    page = facts.page("p")
    assert page is not None and page.lines[0].text == "Acte"


def test_verdicts_say_what_the_figures_say() -> None:
    docs = "abcdefghijkl"
    truth = lines(["abcdefghij"] * 12, docs)
    bad = lines(["xxcdefghij"] * 12, docs)
    good = lines(["xbcdefghij", *["abcdefghij"] * 11], docs)
    found = score_records(truth, {"bad": bad, "good": good}, ARCHIVE).systems[1].difference
    assert found is not None
    assert found.verdict.startswith("good is better than bad on these documents: −19.17 points")
    assert found.p < 0.01
    mixed = lines(["xxcdefghij"] * 6 + ["xxxdefghij"] * 3 + ["xbcdefghij"] * 3, docs)
    found = score_records(truth, {"bad": bad, "mixed": mixed}, ARCHIVE).systems[1].difference
    assert found is not None and found.verdict.startswith("These documents cannot tell mixed from")


def test_copies_are_noticed() -> None:
    truth = [Record(f"l{i}", text, "p", "d") for i, text in enumerate(("un mot", "deux"))]
    other = [Record("l0", "un mot", "p", "d"), Record("l1", "deus", "p", "d")]
    systems = {"a": truth, "b": other, "c": other}
    notices = score_records(truth, systems, profile("nfc")).notices
    assert "a: reads every line as ground truth does; is it a copy?" in notices
    assert "b and c read every line the same; is one a copy?" in notices
    assert sum("copy" in notice for notice in notices) == 2


def test_lines_of_other_ids_are_told() -> None:
    truth = [Record(f"l{i}", text, "p", "d") for i, text in enumerate(("un mot", "deux"))]
    some = [Record("l0", "un mot", "p", "d"), Record("x1", "deux", "p", "d")]
    none = [Record(f"x{i}", line.text, "p", "d") for i, line in enumerate(truth)]
    notices = score_records(truth, {"some": some, "none": none}, profile("nfc")).notices
    assert any("p/x1; lines are found by their ids" in n for n in notices)
    assert any(n.startswith("none: 1 page with no line id of the ground truth") for n in notices)


def test_oracles_are_no_worse_than_engines_whatever_errors_are_divided_by() -> None:
    form = make_profile("mine", "", Rules(denominator="alignment"))
    truth, one, two = (lines([t, "efgh"]) for t in ("abcd", "abcdxxxx", "abcdyyyy"))
    options = Options(engines=("a", "b"))
    report = score_records(truth, {"a": one, "b": two, "c": truth}, form, options=options)
    assert (found := report.ensemble) is not None
    assert [e.cer for e in found.engines] == [0.5, 0.5]
    assert max(found.oracle_lines, found.oracle_network) <= 0.5
    assert "denominators  of the alignments: reference of 8" in to_text(report)


def test_pages_of_one_name_in_two_documents_are_two() -> None:
    truth = [Record("a", "abcd", "1", "d"), Record("b", "efgh", "1", "e")]
    read = [Record("b", "efgh", "1", "e"), Record("z", "abcd", "1", "d")]
    assert score_records(truth, {"a": read}, ARCHIVE).systems[0].unordered.cer == 0.0


def test_a_test_that_can_never_tell_says_so() -> None:
    sure = Estimate(0.02, 0.01, 0.03)
    told = verdict("b", "a", sure, 0.125, ("document", 4))
    assert told.startswith("These documents cannot tell b from a")
    assert told.endswith("p = 0.125, which is never below 0.125 with 4 documents: give more.")
    assert verdict("b", "a", sure, 1.0, ("line", 1)).endswith(
        "never below 1 with 1 line: give more."
    )
    assert "never" not in verdict("b", "a", sure, 0.2, ("document", 9))
    assert "better" not in verdict("b", "a", sure, 0.01, ("document", 9))


@pytest.mark.parametrize("asked", [["all"], ["fr-archive", "all"]])
def test_all_profiles_may_be_asked_for_alone(tmp_path: Path, asked: list[str]) -> None:
    for name in ("truth", "read"):
        (tmp_path / f"{name}.tsv").write_text("page\tid\ttext\np\tl0\tUn mot.\n", encoding="utf-8")
    command = [str(tmp_path / "truth.tsv"), str(tmp_path / "read.tsv"), "--json", "-"]
    command += [word for name in asked for word in ("--profile", name)]
    result = CliRunner().invoke(evaluate, command)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    beside = {score["profile"] for score in report["profiles"]}
    assert report["profile"] == "fr-archive" and beside == set(PROFILES) - {"fr-archive"}
