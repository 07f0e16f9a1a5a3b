"""A language module: it learns what texts are like, exactly so after an interruption, and joins the
weights that it was made for without touching what reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch", reason="needs the extra [recognize]")

from ensemble_htr.assets import verify, write_lock  # noqa: E402
from ensemble_htr.config import to_mapping  # noqa: E402
from ensemble_htr.errors import AssetError, InputError  # noqa: E402
from ensemble_htr.recognizers.weights import load_weights, save_weights  # noqa: E402
from ensemble_htr.recognizers.zoo import build_network  # noqa: E402
from ensemble_htr.train import language  # noqa: E402
from ensemble_htr.train.begin import begin_from  # noqa: E402
from ensemble_htr.train.recipe import DataOptions, Recipe, Source  # noqa: E402

ALPHABET = tuple(" abc")
SIZES = {
    **{"height": 16, "stem": 4, "channels": [4, 6, 8], "blocks": [1, 1, 1], "width": 16},
    **{"heads": 2, "inner": 16, "encoder": 1, "decoder": 1, "kernel": 3, "language": 0},
}
RECIPE = """
val = "val.txt"
layers = 1
steps = 40
lines = 8
rate = 1e-2
every = 20
texts = [{ path = "texts.txt" }]
"""


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A transformer that nobody trained, its recipe and its log; beside it texts in which every
    word is ``abc``."""
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    torch.manual_seed(1)
    network = build_network("transformer", SIZES, len(ALPHABET))
    recipe = Recipe("transformer", DataOptions((Source("train"),), "val"), SIZES)
    progress = {"epoch": 1, "step": 1, "best_epoch": 1, "best": 0.5, "lines": 9}
    facts = {"recipe": to_mapping(recipe), "data": "0" * 64, "progress": progress, "init": ""}
    save_weights(
        folder / "model.safetensors", network.state_dict(), architecture="transformer",
        network=SIZES, alphabet=ALPHABET, profile="fr-archive", facts=facts,
    )  # fmt: skip
    row = {"epoch": 1, "loss": 1.0, "val_cer": 0.5, "val_cer_letters": 0.5, "lines": 9}
    (folder / "log.jsonl").write_text(json.dumps(row | {"seconds": 1.0}) + "\n")
    (folder / "recipe.toml").write_text(
        'architecture = "transformer"\n[data]\ntrain = [{ path = "train" }]\nval = "val"\n'
    )
    (folder / "language.toml").write_text(RECIPE)
    lines = [" ".join(["abc"] * (1 + n % 7)) for n in range(30)]
    (tmp_path / "texts.txt").write_text("\n".join(lines))
    (tmp_path / "val.txt").write_text("abc abc abc\nabc\n")
    write_lock(folder, ["model.safetensors"])
    return folder


def learn(shelf: Path, out: Path, resume: bool = False) -> float:
    root = shelf.parent.parent
    return language.learn(shelf / "language.toml", shelf, out, root=root, resume=resume)


def test_it_learns_and_joins_the_weights_it_is_for(shelf: Path, tmp_path: Path) -> None:
    nats = learn(shelf, tmp_path / "run")
    assert nats < 0.6  # knowing nothing it would be ln 5 = 1.6
    before = load_weights(shelf / "model.safetensors")
    language.join(tmp_path / "run", shelf)
    after = load_weights(shelf / "model.safetensors")
    assert after.network["language"] == 1 and after.alphabet == before.alphabet
    for name, value in before.tensors.items():
        assert torch.equal(value, after.tensors[name])
    verify(shelf)
    card = (shelf / "card.md").read_text()
    assert "40 steps,\n  320 lines of text" in card and "texts.txt" in card
    network = build_network("transformer", dict(after.network), len(ALPHABET))
    network.load_state_dict(after.tensors, strict=False)
    codes = torch.tensor([[5, 2, 3]])  # beginning, a, b
    with torch.inference_mode():
        said = network.eval().tell(codes)[0].argmax(-1).tolist()
    assert said == [2, 3, 4]  # a, b, c
    language.join(tmp_path / "run", shelf)  # again: in its own place
    again = load_weights(shelf / "model.safetensors")
    assert again.tensors.keys() == after.tensors.keys()


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn(shelf, tmp_path / "whole")
    step, said = language._Run._learn, []

    def stop(run: language._Run) -> float:
        said.append(run.step)
        if len(said) == 18:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGTERM)
        return step(run)

    monkeypatch.setattr(language._Run, "_learn", stop)
    with pytest.raises(KeyboardInterrupt, match="--resume"):
        learn(shelf, tmp_path / "parts")
    with pytest.raises(AssetError, match="stopped after 18 of 40 steps"):
        language.join(tmp_path / "parts", shelf)
    with pytest.raises(InputError, match="holds a run already"):
        learn(shelf, tmp_path / "parts")
    learn(shelf, tmp_path / "parts", resume=True)
    assert said == list(range(40))
    one, other = (
        torch.load(tmp_path / name / "last.pt", weights_only=True)["module"]
        for name in ("whole", "parts")
    )
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    logs = [(tmp_path / n / "language.jsonl").read_text() for n in ("whole", "parts")]
    rows = [[json.loads(row)["val"] for row in log.splitlines()] for log in logs]
    assert rows[0] == rows[1] and len(rows[0]) == 2


def test_new_characters_are_added_to_a_module(shelf: Path, tmp_path: Path) -> None:
    learn(shelf, tmp_path / "run")
    language.join(tmp_path / "run", shelf)
    wider = tuple(" aàbc")
    network = build_network("transformer", {**SIZES, "language": 1}, len(wider))
    begin_from(shelf / "model.safetensors", network, wider)
    with torch.inference_mode():
        said = network.eval().tell(torch.tensor([[6, 2, 4]]))[0].argmax(-1).tolist()
    assert said == [2, 4, 5]  # as before, the codes of b and c one further


def test_what_cannot_be_is_said_in_one_line(shelf: Path, tmp_path: Path) -> None:
    runner = CliRunner()

    def said(*words: object) -> str:
        result = runner.invoke(language.main, [str(word) for word in words])
        assert result.exit_code == 1 and result.output.startswith("Error: ")
        return result.output

    assert "holds no language module" in said("join", tmp_path / "nowhere", shelf)
    learn(shelf, tmp_path / "run")
    (shelf / "language.toml").write_text(RECIPE + "clip = 2.0\n")
    before = (shelf / "model.safetensors").read_bytes()
    assert "is not the recipe that" in said("join", tmp_path / "run", shelf)
    assert (shelf / "model.safetensors").read_bytes() == before
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "last.pt").write_bytes(b"no checkpoint")
    assert "holds no language module" in said("join", tmp_path / "broken", shelf)
    options = ("--for", shelf, "--data", tmp_path, "-o")
    toml = tmp_path / "language.toml"
    toml.write_text(RECIPE.replace("steps = 40", "steps = 0"))
    assert "steps is 0, wanted 1 or more" in said("learn", toml, *options, tmp_path / "a")
    toml.write_text(RECIPE)
    assert "damaged" in said("learn", toml, *options, tmp_path / "broken", "--resume")
    toml.write_text(RECIPE.replace("texts.txt", "none.txt"))
    assert "none.txt: no such text file" in said("learn", toml, *options, tmp_path / "b")
