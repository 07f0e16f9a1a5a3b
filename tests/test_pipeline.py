"""The order of the stages, on a tiny untrained ensemble."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra [recognize]")
pytest.importorskip("cv2")

from ensemble_htr.assets import resolve  # noqa: E402
from ensemble_htr.combine.model import MODULE  # noqa: E402
from ensemble_htr.errors import EnsembleError, UsageError  # noqa: E402
from ensemble_htr.pipeline import (  # noqa: E402
    Pipeline,
    PipelineOptions,
    _modules,
    fingerprint,
    unburdened,
)
from ensemble_htr.recognizers.attention import AttentionRecognizer  # noqa: E402
from ensemble_htr.types import (  # noqa: E402
    Arc,
    ConfusionNetwork,
    Hypothesis,  # noqa: E402
    Reading,
    Slot,
)


@pytest.fixture
def load(tiny_home: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))
    return lambda **options: Pipeline.load(PipelineOptions(**{"model": "tiny", **options}))


def test_every_line_gets_a_reading_that_explains_itself(load) -> None:  # type: ignore[no-untyped-def]
    result = load().read_page(resolve("sample", "letter") / "page.xml")
    assert set(result.readings) == {line.id for line in result.page.lines}
    for reading in result.readings.values():
        assert reading.network is not None
        assert {s for s in reading.network.sources if "#" not in s} == {"crnn", "crnn-b"}
        for slot in reading.network.slots:
            assert sum(a.evidence["posterior"] for a in slot.arcs) == pytest.approx(1.0)
            if len(slot.arcs) > 1:
                assert {"forced:crnn", "forced:crnn-b", "lm"} <= set(slot.arcs[0].evidence)


def test_a_page_of_many_lines_is_read_some_at_a_time(load, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    pipeline, page = load(lm=False, recognizers=("crnn",)), resolve("sample", "letter") / "page.xml"
    whole = pipeline.read_page(page)
    monkeypatch.setattr("ensemble_htr.pipeline._TOGETHER", 3)
    parts = pipeline.read_page(page)
    assert parts.page == whole.page and list(parts.readings) == list(whole.readings)
    monkeypatch.setattr("ensemble_htr.pipeline._MANY", 5)  # each cut by its own median thickness
    parts = pipeline.read_page(page)
    assert parts.page == whole.page and list(parts.readings) == list(whole.readings)
    assert all(reading.network is None for reading in parts.readings.values())


def test_foreign_readings_join_ours(load) -> None:  # type: ignore[no-untyped-def]
    pipeline = load(lm=False)
    _, lines = _first(pipeline)
    (reading,) = pipeline.combine_with_images(lines[:1], [[Hypothesis("abbyy", tuple("le dix"))]])
    assert reading.network is not None
    assert {"abbyy", "crnn", "crnn-b"} <= set(reading.network.sources)
    with pytest.raises(UsageError, match="rename"):
        pipeline.combine_with_images(lines[:1], [[Hypothesis("crnn", tuple("le"))]])


def test_lines_together_read_as_each_alone(load, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    # in bfloat16 a network rounds one line and eight lines of one width a little differently
    monkeypatch.setattr("ensemble_htr.recognizers.ctc.has_fast_bf16", lambda: False)
    pipeline = load(lm=False)
    _, lines = _first(pipeline)
    rows = [[Hypothesis("abbyy", tuple(f"le {i}"))] for i in range(6)]
    together = pipeline.combine_with_images(lines[:6], rows)
    alone = [pipeline.combine_with_images([x], [r])[0] for x, r in zip(lines, rows, strict=False)]
    assert [r.text for r in together] == [r.text for r in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.confidences == pytest.approx(other.confidences, abs=1e-3)


def test_a_burdened_page_still_says_who_was_left_out() -> None:
    network = ConfusionNetwork((Slot((Arc("a"),)),), {"x": ("a",)}, quarantined={"y": "other"})
    readings = [
        Reading(("a",), (1.0,), 1.0, network=replace(network, quarantined=left), slots=(0,))
        for left in ({"y": "other"}, {})
    ]
    assert unburdened(readings, 4096) == readings
    one, two = unburdened(readings, 4097)
    assert one.network is not None and one.network.quarantined == {"y": "other"}
    assert one.network.slots == () and one.text == "a"
    assert two.network is None


def _first(pipeline: Pipeline):  # type: ignore[no-untyped-def]
    from ensemble_htr.io.pages import read_page

    return pipeline.cut(read_page(resolve("sample", "letter") / "page.xml"))


def test_a_subset_of_recognizers_and_an_unknown_one(load) -> None:  # type: ignore[no-untyped-def]
    assert [r.name for r in load(recognizers=("crnn",)).recognizers] == ["crnn"]
    with pytest.raises(UsageError, match="did you mean 'crnn"):
        load(recognizers=("crn",))


def test_what_decides_the_text_is_in_the_fingerprint(load) -> None:  # type: ignore[no-untyped-def]
    choices = ({}, {"lm": False}, {"recognizers": ("crnn",)})
    prints = [load(**o).fingerprint() for o in choices]
    assert len(set(prints)) == 3 and load().fingerprint() == prints[0]
    assert prints == [fingerprint(PipelineOptions(model="tiny", **o)) for o in choices]


def test_the_lm_is_kept_from_text_that_it_does_not_know(load) -> None:  # type: ignore[no-untyped-def]
    pipeline = load(images=False)
    french, bits = pipeline.lm_fits(["demeurant à Paris rue de la Paix", "vente par Monsieur"])
    other, more = pipeline.lm_fits(["xqj wkzv bhgt qqpl zxcv", "kkwq jjzx vvbq"])
    assert french and not other and bits < more


def test_lists_of_single_recognizers_join_where_no_joint_search_proposes(load) -> None:  # type: ignore[no-untyped-def]
    def proposers(pipeline: Pipeline) -> set[str]:
        _, lines = _first(pipeline)
        networks = [r.network for r in pipeline.read_lines(lines[:3])]
        return {s.partition("#")[0] for n in networks if n for s in n.sources if "#" in s}

    pipeline, silent = load(), load(lm=False)
    nets = {r.name for r in pipeline.recognizers}
    joint = replace(pipeline.config.joint, alone=False)
    both = replace(pipeline, config=replace(pipeline.config, joint=joint))
    assert proposers(pipeline) == {"joint"}
    assert silent.joint is None and proposers(silent) <= nets and proposers(silent)
    assert proposers(both) > {"joint"}


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_a_recognizer_that_writes_is_two_voices(load, alpha: float) -> None:  # type: ignore[no-untyped-def]
    pipeline = load(model="trio")
    search = replace(pipeline.config.search, alpha=alpha)
    pipeline = replace(pipeline, config=replace(pipeline.config, search=search))
    _, lines = _first(pipeline)
    reading = pipeline.read_lines(lines[:3])[1]
    assert reading.network is not None
    engines = {"crnn", "crnn-b", "writer", "writer-ctc"}
    assert {s for s in reading.network.sources if "#" not in s} == engines
    heard = [r.posteriors(lines[:3]) for r in pipeline.recognizers]
    rows, fused = pipeline.hypotheses([h[1] for h in heard])
    assert {h.source for h in rows} == engines == {h.source for h in fused}
    assert not any(row.lm for row in rows)
    assert any(h.lm for h in fused if h.source == "writer") == (alpha > 0)
    scores = pipeline.scorer([h[1] for h in heard])([rows[0].tokens, ("a",)])
    assert set(scores) == engines and all(len(said) == 2 for said in scores.values())
    assert pipeline.judge_line([h[1] for h in heard]).text == reading.text


def test_a_decoder_that_only_listens_is_one_engine_and_two_voices(load) -> None:  # type: ignore[no-untyped-def]
    pipeline = load(model="trio")
    search = replace(pipeline.config.search, write=False)
    pipeline = replace(pipeline, config=replace(pipeline.config, search=search))
    _, lines = _first(pipeline)
    network = pipeline.read_lines(lines[:3])[1].network
    assert network is not None
    assert {s for s in network.sources if "#" not in s} == {"crnn", "crnn-b", "writer"}
    rivals = next(slot for slot in network.slots if len(slot.arcs) > 1)
    assert {"forced:writer", "forced:writer-ctc"} <= set(rivals.arcs[0].evidence)


def test_a_language_module_is_a_voice_unless_it_is_silenced(load, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    assert MODULE not in {v.name for v in load(model="trio").judge.voices}  # its network has none
    monkeypatch.setattr(AttentionRecognizer, "speaks", True)
    pipeline = load(model="trio")
    assert pipeline.judge.voices[-1].name == MODULE
    assert MODULE not in {v.name for v in load(model="tiny").judge.voices}
    for silent in ({"inner": 0.0}, {"write": False}):
        search = replace(pipeline.config.search, **silent)
        config = replace(pipeline.config, search=search)
        assert _modules(config, pipeline.recognizers) == []


def test_kept_lines_read_the_same_and_nothing_is_cut_again(
    load,  # type: ignore[no-untyped-def]
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = resolve("sample", "letter") / "page.xml"
    plain = load(lm=False).read_page(page)
    kept = load(lm=False, cache=tmp_path)
    assert kept.fingerprint() == load(lm=False).fingerprint()
    assert kept.read_page(page) == plain
    again = load(lm=False, cache=tmp_path)
    monkeypatch.setattr("ensemble_htr.layout.preprocess.cut_lines", None)  # must not be called
    monkeypatch.setattr("ensemble_htr.io.images.load_page", None)
    result = again.read_page(page)
    assert again.cache is not None and (again.cache.hits, again.cache.misses) == (1, 0)
    assert result == plain


def test_a_decoder_is_asked_about_the_likeliest_texts(load) -> None:  # type: ignore[no-untyped-def]
    pipeline = load(model="trio", lm=False)
    _, lines = _first(pipeline)
    posteriors = [r.posteriors(lines[:1])[0] for r in pipeline.recognizers]
    texts = [tuple(t) for t in ("le dix", "le six", "la dix", "dix", "l", "", "é", "le dix mai")]
    search = replace(pipeline.config.search, dictated=3)
    few = replace(pipeline, config=replace(pipeline.config, search=search)).scorer(posteriors)(
        texts
    )
    every = pipeline.scorer(posteriors)(texts)
    ctc = {name: scores for name, scores in every.items() if name != "writer"}
    assert ctc == {name: scores for name, scores in few.items() if name != "writer"}
    totals = [sum(scores) for scores in zip(*ctc.values(), strict=True)]
    asked = sorted(range(len(texts)), key=lambda i: -totals[i])[:3]
    assert [few["writer"][i] for i in asked] == pytest.approx(
        [every["writer"][i] for i in asked], abs=1e-2
    )
    best = max(few["writer"][i] for i in asked)
    assert all(-1e9 < few["writer"][i] <= best for i in range(len(texts)))
    assert few["writer"][texts.index(("é",))] < -1e5  # no net can write it


def test_lists_of_names_are_heard_and_explained(load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    mine = tmp_path / "mine.txt"
    mine.write_text("Berthier\nBarthier\n", encoding="utf-8")
    rows = [Hypothesis("a", tuple("chez M. Berthicr")), Hypothesis("b", tuple("chez M. Berthier"))]
    silent, heard = load(images=False), load(images=False, lexicons=(mine,))
    assert silent.fingerprint() != heard.fingerprint()
    assert silent.combine_line(rows).names == ()
    reading = heard.combine_line(rows)
    assert reading.text == "chez M. Berthier"
    (note,) = reading.names
    assert (note["list"], note["entry"], note["distance"]) == ("own-mine", "Berthier", 0.0)
    assert [other["entry"] for other in note["others"]] == ["Barthier"]
    slot = next(s for s in reading.network.slots if len(s.arcs) > 1)
    says = {arc.token: arc.evidence["names-own-mine"] for arc in slot.arcs}
    assert says["e"] > 0 > says["c"]
    before = silent.combine_line(rows).network.slots[reading.network.slots.index(slot)]
    p = [{a.token: a.evidence["posterior"] for a in s.arcs} for s in (before, slot)]
    assert p[1]["e"] > p[0]["e"]
    assert (
        heard.combine_line(rows, use_lm=False).text == silent.combine_line(rows, use_lm=False).text
    )


def test_a_list_given_twice_is_one_clear_line(load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    mine = tmp_path / "mine.txt"
    mine.write_text("Berthier\n", encoding="utf-8")
    with pytest.raises(UsageError, match="'mine' is given twice"):
        load(images=False, lexicons=(mine, mine))
    with pytest.raises(EnsembleError, match="No such file"):
        load(images=False, lexicons=(tmp_path / "none.txt",))
