"""What else could stand there, and where engines differ: laws over random networks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.io.rivals import parts, rivals
from ensemble_htr.types import EPSILON, Arc, ConfusionNetwork, Reading, Slot

TOKENS = [EPSILON, "a", "b", " ", "é"]


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    """Readings chosen from networks of up to three engines and an alternative."""
    sources = draw(st.sampled_from([["x"], ["x", "y"], ["x", "y", "z", "x#1"]]))
    length = draw(st.integers(0, 7))
    rows = {s: tuple(draw(st.sampled_from(TOKENS)) for _ in range(length)) for s in sources}
    slots, tokens, kept = [], [], []
    for i in range(length):
        arcs = sorted({row[i] for row in rows.values()})
        weights = [draw(st.integers(1, 9)) for _ in arcs]
        total = sum(weights)
        judged = draw(st.booleans())
        slots.append(
            Slot(
                tuple(
                    Arc(a, {"posterior": w / total} if judged else {})
                    for a, w in zip(arcs, weights, strict=True)
                )
            )
        )
        token = draw(st.sampled_from(arcs))
        if token != EPSILON:
            tokens.append(token)
            kept.append(i)
    sure = tuple(draw(st.floats(0, 1)) for _ in tokens)
    network = ConfusionNetwork(tuple(slots), rows)
    return Reading(tuple(tokens), sure, draw(st.floats(0, 1)), network=network, slots=tuple(kept))


@given(readings(), st.data(), st.integers(1, 4))
def test_rivals_are_ranked_distinct_and_share_the_doubt(
    reading: Reading, data: st.DataObject, most: int
) -> None:
    if not reading.tokens:
        return
    start = data.draw(st.integers(0, len(reading.tokens) - 1))
    stop = data.draw(st.integers(start + 1, len(reading.tokens)))
    own = "".join(reading.tokens[start:stop])
    found = rivals(reading, start, stop, reading.confidence, most)
    texts = [text for text, _ in found]
    assert len(found) <= most and len(set(texts)) == len(texts)
    assert own not in texts and "" not in texts
    assert [p for _, p in found] == sorted((p for _, p in found), reverse=True)
    assert sum(p for _, p in found) <= 1 - reading.confidence + 1e-9
    network = reading.network
    assert network is not None
    lines = [" ".join("".join(row).split()) for row in network.rows.values()]
    squeezed = ["".join(line.split()) for line in lines]
    assert all(any("".join(text.split()) in line for line in squeezed) for text in texts)


@given(readings())
def test_parts_are_the_whole_reading_in_order(reading: Reading) -> None:
    found = parts(reading)
    ends = [0, *(part.stop for part in found)]
    assert [part.start for part in found] == ends[:-1] and ends[-1] == len(reading.tokens)
    network = reading.network
    assert network is not None
    engines = [name for name in network.rows if "#" not in name]
    for part in found:
        own = " ".join("".join(reading.tokens[part.start : part.stop]).split())
        assert not part.texts or sorted(part.texts) == sorted(engines)
        assert not part.texts or any(text != own for text in part.texts.values())
    for engine in engines:  # the engine's text can be put together again
        pieces = [
            part.texts.get(engine, "".join(reading.tokens[part.start : part.stop]))
            for part in found
        ]
        whole = "".join(network.rows[engine])
        assert "".join("".join(pieces).split()) == "".join(whole.split())


def test_without_a_network_there_is_nothing_to_say() -> None:
    reading = Reading(("a", "b"), (0.5, 0.5), 0.5)
    assert rivals(reading, 0, 2, 0.5, 3) == ()
    [part] = parts(reading)
    assert (part.start, part.stop, dict(part.texts)) == (0, 2, {})
    assert parts(Reading((), (), 0.5)) == []


def test_a_word_that_engines_read_apart() -> None:
    rows = {"x": tuple("le roi"), "y": tuple("la roi")}
    slots = [
        Slot(tuple(Arc(t) for t in sorted({a, b}))) for a, b in zip(*rows.values(), strict=True)
    ]
    network = ConfusionNetwork(tuple(slots), rows)
    reading = Reading(tuple("le roi"), (0.9,) * 6, 0.8, network=network, slots=tuple(range(6)))
    first, rest = parts(reading)
    assert dict(first.texts) == {"x": "le", "y": "la"} and not rest.texts
    assert rivals(reading, 0, 2, 0.6, 2) == (("la", 0.4),)
    assert rivals(reading, 3, 6, 0.6, 2) == ()
