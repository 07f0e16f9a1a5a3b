"""Fine-tuning: what is held back, what grows, what is kept; the whole command on drawn lines."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
cv2 = pytest.importorskip("cv2")

from ensemble_htr.assets import verify, write_lock  # noqa: E402
from ensemble_htr.config import to_mapping  # noqa: E402
from ensemble_htr.errors import (  # noqa: E402
    AssetError,
    EnsembleError,
    InputError,
    OutputError,
    UsageError,
)
from ensemble_htr.layout.preprocess import Preprocess  # noqa: E402
from ensemble_htr.metrics import Counts, edit_counts  # noqa: E402
from ensemble_htr.pipeline import Pipeline, PipelineOptions  # noqa: E402
from ensemble_htr.plan import ModelConfig, Plan  # noqa: E402
from ensemble_htr.recognizers.weights import load_weights, save_weights  # noqa: E402
from ensemble_htr.recognizers.zoo import ARCHITECTURES  # noqa: E402
from ensemble_htr.train import finetune as verb  # noqa: E402
from ensemble_htr.train import finetune_nets  # noqa: E402
from ensemble_htr.train.begin import grown  # noqa: E402
from ensemble_htr.train.data import Sample  # noqa: E402
from ensemble_htr.train.finetune import _better, _has_language_module  # noqa: E402
from ensemble_htr.train.finetune_language import with_own_language  # noqa: E402
from ensemble_htr.train.finetune_nets import (  # noqa: E402
    PEAKS,
    TuneOptions,
    tune,
    tuning_recipe,
)
from ensemble_htr.train.folder import Parts  # noqa: E402
from ensemble_htr.train.loop import Trainer  # noqa: E402
from ensemble_htr.train.recipe import DataOptions, Recipe, Source, TrainOptions  # noqa: E402
from ensemble_htr.types import SearchOptions  # noqa: E402

Lines = Callable[[int, int, str], list[Sample]]
Here = Callable[..., tuple[int, str, str]]
PIXEL = np.zeros((8, 8), np.uint8)


# ---- the alphabet grows --------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.lists(st.sampled_from("abcdef"), unique=True, min_size=1),
    st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1),
    st.sampled_from(["head.weight", "head.bias", "embed.weight", "next.weight"]),
    st.integers(1, 2),
)
def test_rows_of_known_characters_are_copied_and_new_ones_small(
    before: list[str], after: list[str], name: str, frames: int
) -> None:
    frames = frames if name.startswith("head") else 1
    extra, width = (2 if name == "embed.weight" else 1), (() if name.endswith("bias") else (7,))
    old = torch.randn(frames * (len(before) + extra), *width)
    fresh = torch.randn(frames * (len(after) + extra), *width)
    new = grown(name, old, fresh, before, after)
    assert new.shape == fresh.shape
    was, now = (t.view(frames, -1, *width) for t in (old, new))
    assert torch.equal(now[:, 0], was[:, 0])  # the blank, the end
    if extra == 2:
        assert torch.equal(now[:, -1], was[:, -1])  # the beginning of a line
    for i, token in enumerate(after, 1):
        if token in before:
            assert torch.equal(now[:, i], was[:, before.index(token) + 1])
        elif width:
            assert now[:, i].norm() <= 0.11 * fresh.view(frames, -1, *width)[:, i].norm()
        else:
            assert (now[:, i] < was[:, 1:].mean(1)).all()


def test_a_grown_network_reads_as_before(tmp_path: Path, recipe: Recipe, lines: Lines) -> None:
    old = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, epochs=2))
    first = Trainer(old, lines(48, 1, "train"), lines(12, 2, "val"), tmp_path, lambda _: None)
    first.run()
    options = dataclasses.replace(recipe.train, init=str(tmp_path / "model.safetensors"))
    alphabet = (*first.alphabet, "z", "é")
    (tmp_path / "new").mkdir()
    again = Trainer(
        dataclasses.replace(recipe, train=options), lines(48, 3, "train"), lines(12, 2, "val"),
        tmp_path / "new", lambda _: None, alphabet,
    )  # fmt: skip
    again.begin()
    assert again.alphabet == alphabet
    assert again.progress.first == pytest.approx(first.progress.best, abs=0.02)  # fp16 between


def test_frozen_norms_keep_their_statistics(tmp_path: Path, recipe: Recipe, lines: Lines) -> None:
    def after(frozen: bool) -> list[torch.Tensor]:
        options = dataclasses.replace(recipe.train, epochs=1, frozen_norms=frozen)
        folder = tmp_path / str(frozen)
        folder.mkdir()
        trainer = Trainer(dataclasses.replace(recipe, train=options), lines(32, 1, "train"),
                          lines(6, 2, "val"), folder, lambda _: None)  # fmt: skip
        trainer.run()
        return [v for k, v in trainer.net.state_dict().items() if k.endswith("running_mean")]

    assert all((mean == 0).all() for mean in after(True))
    assert any((mean != 0).any() for mean in after(False))


@pytest.mark.parametrize(
    ("network", "reason"),
    [({"height": "x"}, "height: wanted int"), ({"height": 47}, "multiple of 8"), ({"a": 1}, "'a'")],
)
def test_weights_that_describe_no_network(
    tmp_path: Path, network: dict[str, object], reason: str
) -> None:
    path = tmp_path / "model.safetensors"
    save_weights(path, {"w": torch.ones(2)}, architecture="crnn", network=network,
                 alphabet=["a"], profile="nfc", facts={})  # fmt: skip
    with pytest.raises(AssetError, match=reason) as caught:
        tuning_recipe(path, 20, TuneOptions(), Preprocess(), "nfc")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_weights_go_no_further_than_the_lines_held_back_ask(
    tmp_path: Path, recipe: Recipe, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, epochs=2))
    Trainer(old, lines(96, 1, "t"), lines(12, 2, "v"), tmp_path, lambda _: None).run()
    path = tmp_path / "model.safetensors"
    how = tuning_recipe(path, 40, TuneOptions(epochs=3), Preprocess(), "nfc")
    new = [dataclasses.replace(s, text=s.text.replace("b", "é")) for s in lines(60, 7, "own")]

    def tuned(name: str, shares: tuple[float, ...]) -> tuple[float, Path]:
        (tmp_path / name).mkdir(exist_ok=True)
        with monkeypatch.context() as patch:
            patch.setattr(finetune_nets, "SHARES", shares)
            cer = tune(path, new[:40], new[40:], how, tmp_path / name, lambda _: None)[1]
        return cer, tmp_path / name / "model.safetensors"

    shares = (0.25, 0.5, 0.75)
    alone = {share: tuned(str(share), (share,))[1] for share in shares}
    enough = [share for share, file in alone.items() if "share" in load_weights(file).facts]
    farthest, far = tuned("all the way", ())
    cer, near = tuned("no further", shares)
    share = load_weights(near).facts.get("share", 1.0)
    held = sum(len(line.text) for line in new[40:])
    chance = (farthest * (1 - farthest) / held) ** 0.5
    assert share == min(enough, default=1.0) and cer <= farthest + chance + 1e-9
    assert tuned("no further", (0.01,)) == (pytest.approx(cer, abs=0.02), near)  # done once
    assert load_weights(near).facts.get("share", 1.0) == share
    first, last, got = (load_weights(f).tensors for f in (path, far, near))
    for name, value in got.items():
        if value.is_floating_point() and value.shape == first[name].shape:
            wanted = torch.lerp(first[name].float(), last[name].float(), share)
            assert torch.allclose(value.float(), wanted, atol=2e-3), name


@pytest.mark.parametrize("init", ["", "f00d"])
def test_the_rate_is_of_a_training_from_nothing(tmp_path: Path, init: str) -> None:
    """Weights that went on from others did so at a low rate, too low to learn a hand."""
    path = tmp_path / "model.safetensors"
    data = DataOptions((Source("own"),), "own", "nfc")
    facts = to_mapping(Recipe("gated", data, train=TrainOptions(rate=1e-4)))
    save_weights(path, {"w": torch.ones(2)}, architecture="gated", network={}, alphabet=["a"],
                 profile="nfc", facts={"recipe": facts, "init": init})  # fmt: skip
    tuned = tuning_recipe(path, 20, TuneOptions(rate=0.5), Preprocess(), "nfc").train
    assert tuned.rate == pytest.approx(0.5 * (PEAKS["gated"] if init else 1e-4))
    assert set(PEAKS) == set(ARCHITECTURES)


# ---- lines held back -----------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40)), min_size=1, max_size=9))
def test_about_a_fifth_is_held_back(pages: list[tuple[int, int]]) -> None:
    samples = [
        Sample(f"p{number}/l{i}", f"doc{doc}", "h", "own", "a", PIXEL)
        for number, (doc, count) in enumerate(pages)
        for i in range(count)
    ]
    if len(samples) < verb.LEAST:
        with pytest.raises(InputError, match="wanted 20 or more"):
            verb.hold_back(samples)
        return
    train, held = verb.hold_back(samples)
    assert sorted(s.id for s in (*train, *held)) == sorted(s.id for s in samples)
    assert 0.1 * len(samples) <= len(held) <= 0.3 * len(samples) + 1
    both = {s.id.split("/")[0] for s in train} & {s.id.split("/")[0] for s in held}
    assert not both or len(held) == len(samples) // 5  # whole pages, else every fifth line


# ---- the command ---------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, recipe: Recipe, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shelf with ``drawn``: a reader that has learned a little of the five signs, and a language
    model of other text."""
    from ensemble_htr.lm.build import build, write_product
    from ensemble_htr.lm.recipe import from_texts

    home = tmp_path / "home"
    net = home / "models" / "reader"
    net.mkdir(parents=True)
    options = dataclasses.replace(recipe.train, epochs=2)
    Trainer(dataclasses.replace(recipe, train=options), lines(192, 1, "train"),
            lines(12, 2, "val"), net, lambda _: None).run()  # fmt: skip
    (net / "last.pt").unlink()
    write_lock(net, ["model.safetensors"])
    (tmp_path / "t.txt").write_text("ab ab\nac\n" * 9)
    made = build(from_texts("small", [tmp_path / "t.txt"], {}, order=3), Path())
    write_product(made, home / "lm" / "small", Path())
    folder = home / "models" / "drawn"
    folder.mkdir()
    (folder / "model.toml").write_text('recognizers = ["reader"]\nlm = "small"\n')
    write_lock(folder, ["model.toml"])
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(home))
    return home


@pytest.fixture
def own(tmp_path: Path, lines: Lines) -> Path:
    """Line images with their text; the sign ``b`` stands for ``é`` here."""
    folder = tmp_path / "own"
    folder.mkdir()
    for sample in lines(40, 7, "own"):
        stem = folder / sample.id.rpartition("/")[2].zfill(3)
        cv2.imwrite(f"{stem}.png", 255 - cv2.resize(sample.image, None, fx=3, fy=3))
        Path(f"{stem}.gt.txt").write_text(sample.text.replace("b", "é"), encoding="utf-8")
    return folder


def test_one_command_adapts_everything(home: Path, own: Path, tmp_path: Path, here: Here) -> None:
    out = tmp_path / "mine"
    arguments = ("finetune", own, "-o", out, "--model", "drawn", "--epochs", 3)
    status, shown, err = here(*arguments)
    assert status == 0, err
    assert "reader" in shown and "ensemble" in shown and shown.splitlines()[-1] == str(out)
    lock = verify(out)
    assert "models/reader/model.safetensors" in lock.files
    rows = {row["name"]: row for row in lock.facts["finetuned"]["rows"]}
    assert rows["ensemble"]["after"] < rows["ensemble"]["before"] and rows["ensemble"]["kept"]
    before, after = (load_weights(p / "models/reader/model.safetensors") for p in (home, out))
    assert after.alphabet == (*before.alphabet, "é")
    assert not (out / ".finetune").exists()
    loaded = Pipeline.load(PipelineOptions(model=str(out)))
    assert loaded.lm is not None and loaded.recognizers[0].alphabet[-1] == "é"
    status, shown, err = here("models", "show", str(out))
    assert status == 0 and "tuned with" in shown, err
    status, _, err = here(*arguments)
    assert status == 1 and "holds a finished model" in err
    status, shown, err = here("transcribe", own, "-o", "-", "--model", out, "--jobs", 1)
    assert status == 0 and len(shown.splitlines()) == 40, err


@pytest.mark.parametrize(
    ("search", "layers", "has"),
    [
        (SearchOptions(), 1, True),
        (SearchOptions(), 0, False),
        (SearchOptions(inner=0.0), 1, False),
        (SearchOptions(write=False), 1, False),
        (SearchOptions(decoder=False), 1, False),
    ],
)
def test_a_language_module_is_tried_without_where_it_speaks(
    tmp_path: Path, search: SearchOptions, layers: int, has: bool
) -> None:
    path = tmp_path / "model.safetensors"
    save_weights(path, {"one": torch.ones(1)}, architecture="transformer",
                 network={"language": layers}, alphabet="ab", profile="fr-archive",
                 facts={})  # fmt: skip
    parts = Parts(ModelConfig(("t",), search=search), {"t": path, "o": tmp_path / "model.onnx"})
    assert _has_language_module(parts) is has


def test_better_is_better_in_both_halves() -> None:
    right, wrong = Counts(hits=10), Counts(hits=9, substitutions=1)
    assert _better([right, right], [wrong, wrong])
    assert not _better([right, wrong], [wrong, wrong])


def test_it_goes_on_where_it_was_stopped(
    home: Path, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(Exception):
        pass

    def stopped(*_: object) -> None:
        raise Stop

    options, said = PipelineOptions(model="drawn"), list[str]()
    with monkeypatch.context() as patch:
        patch.setattr(verb, "_whole", stopped)
        with pytest.raises(Stop):
            verb.finetune(own, tmp_path / "m", options, TuneOptions(epochs=1), None, said.append)
    state = json.loads((tmp_path / "m" / ".finetune" / "state.json").read_text())
    said.clear()
    with pytest.raises(InputError, match="begun with other lines"):
        verb.finetune(own, tmp_path / "m", options, TuneOptions(epochs=2), None, said.append)
    outcome = verb.finetune(own, tmp_path / "m", options, TuneOptions(epochs=1), None, said.append)
    assert [outcome.rows[0].before, outcome.rows[0].after] == state["nets"]["reader"]
    assert not any("epoch" in text for text in said)  # nothing was trained twice


def test_what_is_no_better_is_not_kept(
    home: Path, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in own.glob("*.gt.txt"):  # nothing can be learned from empty truth about the image
        path.write_text("ab ab", encoding="utf-8")
    how = TuneOptions(epochs=1, rate=1e-9)
    options = PipelineOptions(model="drawn")
    outcome = verb.finetune(own, tmp_path / "m", options, how, None, lambda _: None)
    assert not outcome.rows[0].kept and "the old one is kept" in outcome.table()
    kept = (p / "models/reader/model.safetensors" for p in (home, tmp_path / "m"))
    assert len({path.read_bytes() for path in kept}) == 1


@pytest.mark.parametrize("better", [True, False])
def test_a_recognizer_given_by_its_path_is_tuned_beside_it(
    home: Path, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, better: bool
) -> None:
    save_weights(tmp_path / "new", {"one": torch.ones(1)}, architecture="crnn", network={},
                 alphabet="ab", profile="fr-archive", facts={})  # fmt: skip
    new = (tmp_path / "new").read_bytes()

    def learned(*given: object) -> tuple[float, float, int]:
        (Path(str(given[4])) / "model.safetensors").write_bytes(new)
        return 0.5, 0.4, 1

    weights = home / "models" / "reader" / "model.safetensors"
    folder, old = tmp_path / "base", weights.read_bytes()
    folder.mkdir()
    (folder / "model.toml").write_text(f'recognizers = ["{weights.parent}"]\nlm = "small"\n')
    monkeypatch.setattr(verb, "tune", learned)
    monkeypatch.setattr(verb._Judged, "base", lambda _: [edit_counts("ab", "ac")])
    monkeypatch.setattr(verb._Judged, "tried", lambda *_: [edit_counts("ab", "ab" * better)])
    options, out = PipelineOptions(model=str(folder)), tmp_path / "m"
    outcome = verb.finetune(own, out, options, None, [str(weights.parent)], lambda _: None)
    assert weights.read_bytes() == old
    assert (out / "models/reader/model.safetensors").read_bytes() == (new if better else old)
    assert Plan.of(PipelineOptions(model=str(out))).config.recognizers == ("reader",)
    assert [(row.name, row.kept) for row in outcome.rows] == [("reader", better),
                                                              ("ensemble", better)]  # fmt: skip
    told = verify(out).facts["finetuned"]["rows"]
    assert [row["kept"] for row in told] == [better, better]
    assert ("the ensemble is not better: the old one is kept" in outcome.table()) is not better


@pytest.mark.parametrize("lexicon", ["", "none"])  # none: no list of it is heard
def test_lines_without_words_make_no_lexicon(tmp_path: Path, lexicon: str) -> None:
    rows = [Sample(f"p/{i}", "d", "h", "own", f"{i} 12,50", PIXEL) for i in range(30)]
    parts = Parts(ModelConfig(("reader",), lexicon=lexicon), {"reader": tmp_path / "x"})
    said = list[str]()
    new = with_own_language(parts, rows[:24], rows[24:], "nfc", tmp_path, said.append)
    assert new.config.lm == "own" and new.lm is not None and new.lm.is_file()
    assert (new.config.lexicon, new.lexicons) == (lexicon, {})
    words = [dataclasses.replace(row, text="un mot") for row in rows[:24]]
    new = with_own_language(parts, words, rows[24:], "nfc", tmp_path, said.append)
    assert new.config.lexicon == "own" and set(new.lexicons) == {"words"}


def test_places_and_names_that_cannot_be(home: Path, own: Path, tmp_path: Path, here: Here) -> None:
    with pytest.raises(UsageError, match="no 'raeder'; did you mean 'reader'"):
        verb.finetune(own, tmp_path / "m", PipelineOptions(model="drawn"), None, ["raeder"])
    with pytest.raises(OutputError, match="is not empty"):
        verb.finetune(own, own, PipelineOptions(model="drawn"))
    with pytest.raises(EnsembleError):
        verb.finetune(tmp_path / "onw", tmp_path / "x", PipelineOptions(model="drawn"))
    with pytest.raises(OutputError, match="is a file"):
        verb.finetune(own, own / "000.png", PipelineOptions(model="drawn"))
    for path in sorted(own.iterdir())[20:]:
        path.unlink()
    status, _, err = here("finetune", own, "-o", tmp_path / "x", "--model", "drawn")
    assert status == 1 and "found 10 transcribed lines" in err
    assert not (tmp_path / "m").exists() and not (tmp_path / "x").exists()
