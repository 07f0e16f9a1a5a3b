"""The evaluation of systems in memory: laws and accounts of lines."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.errors import InputError, UsageError
from ensemble_htr.evaluate import Report, evaluate, score_records
from ensemble_htr.evaluate.confidences import carried_confidences
from ensemble_htr.io.records import Record, to_jsonl
from ensemble_htr.metrics import Counts
from ensemble_htr.text import graphemes, profile

ARCHIVE = profile("fr-archive")
LINE = st.text("abé 1|^", max_size=8).map(lambda t: unicodedata.normalize("NFC", t))
PAIRS = st.lists(st.tuples(LINE, LINE, st.sampled_from("de")), min_size=1, max_size=6)


def scored(truth: list[Record], **systems: list[Record]) -> Report:
    return score_records(truth, systems, ARCHIVE)


@settings(max_examples=50, deadline=None)
@given(PAIRS)
def test_counts_add_over_documents_and_over_letters(rows: list[tuple[str, str, str]]) -> None:
    truth = [Record(str(i), t, doc=d) for i, (t, _, d) in enumerate(rows)]
    system = [Record(str(i), s) for i, (_, s, _) in enumerate(rows)]
    (found,) = scored(truth, a=system).systems
    for name in ("characters", "words"):
        whole = getattr(found.overall, name)
        assert whole == Counts.sum(getattr(s, name) for s in found.documents.values())
        assert whole == getattr(found.letters, name) + getattr(found.no_letters, name)
        assert whole == Counts.sum(getattr(line, name) for line in found.lines)
    assert found.overall.cer.value == found.overall.characters.rate
    assert found.overall.cer.low <= found.overall.cer.high


@settings(max_examples=30, deadline=None)
@given(PAIRS)
def test_figures_do_not_depend_on_the_other_systems_or_on_order(
    rows: list[tuple[str, str, str]],
) -> None:
    truth = [Record(str(i), t, doc=d) for i, (t, _, d) in enumerate(rows)]
    system = [Record(str(i), s) for i, (_, s, _) in enumerate(rows)]
    alone = scored(truth, a=system).systems[0]
    both = scored(truth, b=truth, a=system[::-1]).systems
    assert both[0].overall.characters.edits == 0
    assert both[1].overall == alone.overall
    assert both[1].difference is not None
    of_perfect = both[1].difference.cer  # against a system without errors
    assert of_perfect.value == alone.overall.cer.value
    assert of_perfect.low <= of_perfect.value <= of_perfect.high


def test_lines_that_are_missing_extra_or_unread() -> None:
    truth = [Record("1", "le roy", "p", "d"), Record("2", "XXX mot", "p", "d")]
    truth += [Record("3", "12", "p", "d"), Record("4", "¥", "p", "e")]
    system = [Record("1", "le roi", "p"), Record("2", "un mot", "p"), Record("9", "x", "p")]
    report = scored(truth, ours=system)
    (found,) = report.systems
    assert (report.lines, report.unread) == (3, 1)
    assert found.missing == ("p/3", "p/4")
    assert found.extra == ("p/9",)
    assert found.overall.characters == Counts(5, 1, 0, 2)
    assert (found.letters.lines, found.no_letters.lines) == (1, 2)
    assert found.overall.right == 1  # the signature: nothing to read, nothing read
    assert report.notices == (
        "ground truth: 1 line with XXX not scored",
        "ours: 2 lines of 3 missing, scored as empty: p/3, p/4",
        "ours: 1 line not in the ground truth, not scored: p/9; lines are found by their ids, are "
        "these others?",
        "ground truth: only 2 documents: the intervals are wide and rough, and other documents "
        "may well lie outside them",
    )


@pytest.mark.parametrize("name", ["fr-archive", "case-folded", "no-punctuation", "normalised"])
def test_lines_that_nobody_could_read_are_not_scored(name: str) -> None:
    truth = [Record("1", "Le roy"), Record("2", "XXX mot")]
    report = score_records(truth, {"a": truth}, profile(name))
    assert (report.lines, report.unread) == (1, 1)


def test_letters_only() -> None:
    truth = [Record("1", "ab", doc="d"), Record("2", "12", doc="e"), Record("3", "c", doc="e")]
    system = [Record("1", "ab"), Record("2", "99"), Record("3", "d")]
    report = score_records(truth, {"a": system}, ARCHIVE, letters_only=True)
    (found,) = report.systems
    assert report.lines == found.overall.lines == 2
    assert found.overall.cer == found.letters.cer
    assert found.overall.characters.rate == 1 / 3
    assert found.no_letters.characters.edits == 2


@pytest.mark.parametrize(
    ("places", "unit", "clusters"),
    [
        ([("d", "1"), ("d", "2"), ("e", "3")], "document", 2),
        ([("d", "1"), ("d", "2"), ("d", "2")], "page", 2),
        ([("d", "1"), ("d", "1"), ("d", "1")], "line", 3),
        ([("d", "1")], "line", 1),
    ],
)
def test_intervals_resample_the_coarsest_unit(
    places: list[tuple[str, str]], unit: str, clusters: int
) -> None:
    truth = [Record(str(i), "abc", page, doc) for i, (doc, page) in enumerate(places)]
    report = scored(truth, a=truth)
    assert (report.systems[0].overall.unit, report.systems[0].overall.clusters) == (unit, clusters)
    told = "only 2 documents" if unit == "document" else "only one document"
    assert any((told if clusters > 1 else "only one line") in n for n in report.notices)


def test_ids_that_mean_other_lines_are_told() -> None:
    texts = ["le registre", "de la ville", "par devant nous", "fait a paris"]
    truth = [Record(str(i), t, "p") for i, t in enumerate(texts)]
    told = "do its ids mean the same lines?"
    moved = [Record(str(i), t, "p") for i, t in enumerate(["page 12", *texts])]
    (notice,) = [n for n in scored(truth, a=moved).notices if told in n]
    assert notice.startswith("a: its lines are like other lines of their pages: CER 87.8% as they")
    bad = [Record(str(i), "xxxx" + t[8:], "p") for i, t in enumerate(texts)]
    assert not any(told in n for n in scored(truth, a=bad).notices)


def test_agreement_of_pairs() -> None:
    truth = [Record("1", "abcd", doc="d"), Record("2", "12", doc="e")]
    a, b = [Record("1", "xbcd"), Record("2", "12")], [Record("1", "xbcy"), Record("2", "13")]
    (pair,) = scored(truth, a=a, b=b).pairs
    assert (pair.first, pair.second) == ("a", "b")
    errors = pair.errors
    assert (errors.characters, errors.both, errors.same, errors.second) == (6, 1, 1, 3)


def test_calibration_counts_what_was_read() -> None:
    truth = [Record("1", "ab", doc="d"), Record("2", "cd", doc="e"), Record("3", "e", doc="e")]
    system = [
        Record("1", "ax", confidences=(0.9, 0.2), confidence=0.3),
        Record("2", "cd", confidences=(1.0, 0.8), confidence=0.9),
        Record("3", "e"),
    ]
    (found,) = scored(truth, a=system).systems
    assert found.characters is not None and found.line_confidences is not None
    assert (found.characters.count, found.line_confidences.count) == (4, 2)
    assert found.characters.auroc == found.line_confidences.auroc == 1.0
    assert found.characters.ece == pytest.approx((0.1 + 0.2 + 0.0 + 0.2) / 4)
    assert scored(truth, a=truth).systems[0].characters is None


@given(LINE, st.sampled_from(["fr-archive", "fr-reading", "plain"]))
def test_confidences_follow_their_characters_through_a_profile(text: str, name: str) -> None:
    """Give every kind of character its own confidence: it must keep it."""
    sure = {c: i / 10 for i, c in enumerate("abé 1|^")}
    record = Record("1", text, confidences=tuple(sure[t] for t in graphemes(text)))
    tokens, confidences = carried_confidences(record, profile(name))
    assert tokens == profile(name).tokens(text)
    assert confidences == tuple(sure[t] for t in tokens)


def test_files_and_names(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "p.jsonl").write_text(to_jsonl([Record("1", "ab", doc="d")]))
    one, two = tmp_path / "x" / "p.jsonl", tmp_path / "y" / "p.jsonl"
    report = evaluate(one, [one, two, tmp_path / "x", ("mine", two)])
    assert [s.name for s in report.systems] == [str(one), str(two), "x", "mine"]
    with pytest.raises(UsageError, match="two systems are called 'a'"):
        evaluate(one, [("a", one), ("a", two)])
    with pytest.raises(UsageError, match="unknown normalisation profile 'fr-archiv'; did you mean"):
        evaluate(one, [one], "fr-archiv")


def test_engines_of_any_make_are_scored(tmp_path: Path) -> None:
    """Confidences of words come along; plain lines are matched by their number."""
    texts = ["le roi est mort", "vive la reine", "quatre francs par jour"]
    truth = [Record(f"l{i}", text, "p", "d") for i, text in enumerate(texts)]
    (tmp_path / "truth.jsonl").write_text(to_jsonl(truth))
    words = "".join(
        f"l{i} 1 {k} 1 {word} 0.5\n" for i, text in enumerate(texts)
        for k, word in enumerate(text.split())
    )  # fmt: skip
    (tmp_path / "c.ctm").write_text(words.replace("roi", "roy"))
    (tmp_path / "p.txt").write_text("\n".join(texts).replace("jour", "jouz") + "\n")
    report = evaluate(tmp_path / "truth.jsonl", [tmp_path / "c.ctm", tmp_path / "p.txt"])
    assert [s.overall.characters.edits for s in report.systems] == [1, 1]
    assert [len(s.missing) for s in report.systems] == [0, 0]
    assert report.systems[0].characters is not None and report.systems[1].characters is None


def test_nothing_to_score_and_nothing_in_common() -> None:
    with pytest.raises(InputError, match="no line to score"):
        scored([Record("1", "XXX")], a=[])
    with pytest.raises(InputError, match="a: none of its 1 lines is in ground truth"):
        scored([Record("1", "x", "p")], a=[Record("1", "x", "q")])
    assert scored([Record("1", "x", "p")], a=[]).systems[0].overall.cer.value == 1.0


@pytest.mark.parametrize("name", ["val", "test-unseen"])
def test_real_pages_read_without_error_against_themselves(name: str) -> None:
    folder = Path(__file__).parents[3] / "shared" / "data" / "fr19" / name
    if not folder.is_dir():
        pytest.skip("no real pages beside the project")
    report = evaluate(folder, [folder])
    lines = {"val": 1304, "test-unseen": 2585}[name]
    assert report.lines + report.unread == lines
    assert report.systems[0].overall.characters.edits == 0
    assert len(report.systems[0].documents) == {"val": 17, "test-unseen": 26}[name]
