"""The plain-text view of one line."""

from __future__ import annotations

from dataclasses import replace

from ensemble_htr.report import explain
from ensemble_htr.types import Arc, ConfusionNetwork, Reading, Slot


def _reading(*rows: str, chosen: str, without_lm: str | None = None) -> Reading:
    """``·`` in a row is the empty arc; ``chosen`` is a path of the same length."""
    paths = [tuple("" if c == "·" else c for c in row) for row in (*rows, chosen)]
    slots = tuple(
        Slot(tuple(Arc(t) for t in dict.fromkeys(column))) for column in zip(*paths, strict=True)
    )
    network = ConfusionNetwork(slots, {f"e{i}": p for i, p in enumerate(paths[:-1])})
    places = tuple(i for i, token in enumerate(paths[-1]) if token)
    tokens = tuple(paths[-1][i] for i in places)
    confidences = (0.5,) * len(tokens)
    return Reading(tokens, confidences, 0.25, (), network, places, without_lm)


def test_disagreement_is_marked_in_its_column() -> None:
    shown = explain("l1", _reading("cha·t", "chaut", chosen="cha·t"), "chant")
    assert shown.splitlines() == [
        "l1  (25% sure of the whole line)",
        "  chosen   cha·t",
        "  e0       cha·t",
        "  e1       chaut",
        "              ^",
        "  written  chant",
    ]


def test_agreement_is_one_line() -> None:
    shown = explain("l1", _reading("chat", "chat", chosen="chat", without_lm="chat"), "chat")
    assert shown.splitlines()[1:] == ["  chosen   chat   (all 2 agree)"]


def test_a_change_by_the_language_model_is_told() -> None:
    shown = explain("l1", _reading("chot", chosen="chat", without_lm="chot"))
    assert "  no LM    chot" in shown.splitlines()


def test_what_lists_changed_is_told_apart() -> None:
    reading = replace(_reading("chot", chosen="chat", without_lm="chot"), without_lists="chet")
    shown = explain("l1", reading, evidence=True).splitlines()
    assert "  no list  chet" in shown
    assert shown[-2:] == [
        "  the language model made 'chet' of 'chot'",
        "  a list of words or names made 'chat' of 'chet'",
    ]


def test_without_a_network_there_is_the_text() -> None:
    assert explain("l1", Reading(("a",), (1.0,), 1.0)).splitlines()[1:] == ["  chosen   a"]


def test_control_characters_do_not_reach_the_terminal() -> None:
    shown = explain("l1", Reading(("\x1b", "[", "2", "J"), (1.0,) * 4, 1.0), "\x1b]0;x\x07")
    assert "\x1b" not in shown and "\x07" not in shown


def test_the_evidence_of_every_place_in_dispute() -> None:
    arcs = (
        Arc("a", {"vote:x": 0.75, "mass:x": 1.0, "posterior": 0.9, "lm": 1.25}),
        Arc("o", {"vote:y": 1.0, "mass:z": 0.25, "posterior": 0.1, "lm": -1.25}),
    )
    slots = (Slot((Arc("l"),)), Slot(arcs))
    rows = {"x": ("l", "a"), "y": ("l", "o"), "z": ("l", "a"), "z#1": ("l", "o")}
    network = ConfusionNetwork(slots, rows, quarantined={"w": "mois de\x1b mai"})
    reading = Reading(("l", "a"), (1.0, 0.9), 0.9, (), network, (0, 1), "lo")
    shown = explain("l1", reading, evidence=True).splitlines()
    assert "  w        mois de\ufffd mai   (left out: another line)" in shown
    assert shown[-4:] == [
        "  column 2: l[a]",
        "   > a  90%  x 0.75, z; lm +1.2",
        "     o  10%  y, z's n-best 0.25; lm -1.2",
        "  the language model made 'la' of 'lo'",
    ]
    assert "column" not in explain("l1", reading)


def test_many_rivals_are_counted() -> None:
    tokens = "abcdefghij"
    slot = Slot(tuple(Arc(t, {"posterior": 0.1}) for t in tokens))
    network = ConfusionNetwork((slot,), {t: (t,) for t in tokens})
    shown = explain("l1", Reading(("j",), (0.1,), 0.1, (), network, (0,)), evidence=True)
    assert "   > j  10%  j" in shown and "     and 3 more" in shown
