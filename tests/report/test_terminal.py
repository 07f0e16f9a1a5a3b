"""The plain-text view of one line."""

from __future__ import annotations

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


def test_without_a_network_there_is_the_text() -> None:
    assert explain("l1", Reading(("a",), (1.0,), 1.0)).splitlines()[1:] == ["  chosen   a"]


def test_control_characters_do_not_reach_the_terminal() -> None:
    shown = explain("l1", Reading(("\x1b", "[", "2", "J"), (1.0,) * 4, 1.0), "\x1b]0;x\x07")
    assert "\x1b" not in shown and "\x07" not in shown
