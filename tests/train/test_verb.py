"""The command, from a recipe and a pack to weights, log and plot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")

from ensemble_htr.assets import verify  # noqa: E402
from ensemble_htr.cli.train import train as command  # noqa: E402
from ensemble_htr.config import to_mapping  # noqa: E402
from ensemble_htr.errors import AssetError, ConfigError, InputError, OutputError  # noqa: E402
from ensemble_htr.recognizers.weights import load_weights  # noqa: E402
from ensemble_htr.train.average import average  # noqa: E402
from ensemble_htr.train.data import Sample, write_pack  # noqa: E402
from ensemble_htr.train.recipe import Recipe  # noqa: E402
from ensemble_htr.train.shelve import shelve  # noqa: E402
from ensemble_htr.train.verb import make_pack, train  # noqa: E402

Lines = Callable[[int, int, str], list[Sample]]


def write_recipe(path: Path, recipe: Recipe, **options: object) -> Path:
    """The recipe as TOML (JSON's spelling of scalars and lists is TOML's)."""
    tables = to_mapping(recipe)
    tables["train"].update(options)
    sources = tables["data"].pop("train")
    rows = [f"{k} = {json.dumps(tables.pop(k))}" for k in ("architecture", "description")]
    for name, table in tables.items():
        rows += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    rows += [row for s in sources for row in ("[[data.train]]", f"path = {json.dumps(s['path'])}")]
    path.write_text("\n".join(rows))
    return path


@pytest.fixture
def packed(tmp_path: Path, lines: Lines) -> Path:
    path = tmp_path / "lines.pack"
    other = lines(4, 3, "elsewhere")  # not named by the recipe
    write_pack(path, [*lines(24, 1, "train"), *lines(6, 2, "val"), *other], 0)
    return path


def test_train_stop_and_resume(tmp_path: Path, recipe: Recipe, packed: Path) -> None:
    path = write_recipe(tmp_path / "recipe.toml", recipe, epochs=2, lines_per_epoch=24)
    out = tmp_path / "run"
    arguments = [str(path), "-o", str(out), "--packed", str(packed)]
    first = CliRunner().invoke(command, [*arguments, "--minutes", "0"])
    assert first.exit_code == 0, first.output
    with pytest.raises(InputError, match="--resume"):
        train(path, out, root=tmp_path, packed=packed)
    second = CliRunner().invoke(command, [*arguments, "--resume"])
    assert second.exit_code == 0, second.output
    assert "best val CER" in second.stdout
    assert load_weights(out / "model.safetensors").architecture == "crnn"
    rows = [json.loads(row) for row in (out / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[-1]["lines"] == 48
    pytest.importorskip("matplotlib")
    assert (out / "log.png").stat().st_size > 1000


@pytest.fixture
def shelf(tmp_path: Path, recipe: Recipe, packed: Path) -> Path:
    """A shelf with the product of ``tmp_path / "run"``."""
    pytest.importorskip("matplotlib")
    folder = tmp_path / "mine"
    folder.mkdir()
    path = write_recipe(folder / "recipe.toml", recipe, epochs=2, lines_per_epoch=24)
    train(path, tmp_path / "run", root=tmp_path, packed=packed)
    shelve(tmp_path / "run", folder)
    return folder


def test_a_run_is_shelved_with_its_hours_and_none_of_another_recipe(
    tmp_path: Path, recipe: Recipe, shelf: Path
) -> None:
    progress = verify(shelf).facts["progress"]
    rows = [json.loads(row) for row in (shelf / "log.jsonl").read_text().splitlines()]
    (kept,) = (row for row in rows if row["epoch"] == progress["epoch"])
    assert progress["seconds"] == kept["seconds"] > 0
    facts = load_weights(shelf / "model.safetensors").facts
    assert "seconds" not in facts["progress"]
    json.dumps(facts, allow_nan=False)  # a judge's file tells them on, as JSON
    write_recipe(shelf / "recipe.toml", recipe, epochs=3, lines_per_epoch=24)
    with pytest.raises(AssetError, match="is not the recipe"):
        shelve(tmp_path / "run", shelf)


def test_a_run_that_began_from_the_shelf_is_counted_on(
    tmp_path: Path, recipe: Recipe, packed: Path, shelf: Path
) -> None:
    began, hours = (verify(shelf).facts["progress"][key] for key in ("epoch", "seconds"))
    weights = str(shelf / "model.safetensors")
    more = write_recipe(tmp_path / "more.toml", recipe, epochs=1, lines_per_epoch=24, init=weights)
    train(more, tmp_path / "second", root=tmp_path, packed=packed)
    shelve(tmp_path / "second", shelf, continued=True)
    progress = verify(shelf).facts["progress"]
    rows = [json.loads(row) for row in (shelf / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, began + 2))
    assert progress["epoch"] == began + 1 and progress["seconds"] > hours
    assert progress["lines"] == rows[-1]["lines"] == 24 * (began + 1)
    assert load_weights(shelf / "model.safetensors").facts["progress"]["epoch"] == began + 1
    with pytest.raises(AssetError, match="is not what the run began from"):
        shelve(tmp_path / "second", shelf, continued=True)


def test_the_mean_of_runs_from_one_beginning_is_shelved_with_the_hours_of_all(
    tmp_path: Path, recipe: Recipe, packed: Path, shelf: Path
) -> None:
    began = verify(shelf).facts["progress"]
    weights = shelf / "model.safetensors"
    names = ("one", "two")
    for seed, name in enumerate(names):
        options = {"epochs": 1, "lines_per_epoch": 24, "init": str(weights), "seed": seed}
        path = write_recipe(tmp_path / f"{name}.toml", recipe, **options)
        train(path, tmp_path / name, root=tmp_path, packed=packed)
    runs = [tmp_path / name for name in names]
    out = tmp_path / "mean"
    letters = average(shelf, runs, out, root=tmp_path, packed=packed, say=lambda _: None)
    files = [weights, *(run / "model.safetensors" for run in runs)]
    found, given = load_weights(out / "model.safetensors"), [load_weights(f) for f in files]
    for name, value in found.tensors.items():
        if value.dtype.is_floating_point:
            expected = sum(w.tensors[name].double() for w in given) / 3
            torch.testing.assert_close(value.double(), expected, rtol=2e-3, atol=1e-6)
    assert found.facts["recipe"]["train"]["init"] == ""
    assert found.facts["progress"]["best"] == letters
    shelve(out, shelf, continued=True)
    progress = verify(shelf).facts["progress"]
    assert progress["epoch"] == began["epoch"] + 2 and progress["lines"] == began["lines"] + 48
    with pytest.raises(AssetError, match="did not begin from"):
        average(shelf, runs, tmp_path / "new", root=tmp_path, packed=packed, say=lambda _: None)
    with pytest.raises(InputError, match="holds a run"):
        first = tmp_path / "first"
        first.mkdir()
        shutil.copyfile(files[1], first / "model.safetensors")
        again = write_recipe(tmp_path / "again.toml", recipe, epochs=1, lines_per_epoch=24,
                             init=str(first / "model.safetensors"))  # fmt: skip
        train(again, tmp_path / "third", root=tmp_path, packed=packed)
        average(first, [tmp_path / "third"], runs[0], root=tmp_path, packed=packed,
                say=lambda _: None)  # fmt: skip


def test_packs_and_folders_that_lack_lines(tmp_path: Path, recipe: Recipe, lines: Lines) -> None:
    path = write_recipe(tmp_path / "recipe.toml", recipe)
    write_pack(tmp_path / "p", lines(3, 1, "train"), 0)
    with pytest.raises(InputError, match="no validation lines"):
        train(path, tmp_path / "run", root=tmp_path, packed=tmp_path / "p")
    with pytest.raises(InputError, match="train"):
        make_pack(path, tmp_path, tmp_path / "q", 28)
    assert not (tmp_path / "q").exists()


def test_places_that_cannot_be_written(tmp_path: Path, recipe: Recipe, packed: Path) -> None:
    path = write_recipe(tmp_path / "recipe.toml", recipe)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        train(path, tmp_path / "file" / "run", root=tmp_path, packed=packed)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["model.safetensors", "log.jsonl", "lock.json"])
def test_a_finished_model_is_not_trained_over(
    tmp_path: Path, recipe: Recipe, packed: Path, name: str, resume: bool
) -> None:
    path = write_recipe(tmp_path / "recipe.toml", recipe, epochs=1, lines_per_epoch=24)
    out = tmp_path / "model"
    out.mkdir()
    (out / name).write_text("mine\n")
    with pytest.raises(OutputError, match=f"{name}: is of a model"):
        train(path, out, root=tmp_path, packed=packed, resume=resume)
    assert [p.name for p in out.iterdir()] == [name] and (out / name).read_text() == "mine\n"


def test_an_unknown_key_of_the_network(tmp_path: Path, recipe: Recipe, packed: Path) -> None:
    path = write_recipe(tmp_path / "recipe.toml", recipe)
    path.write_text(path.read_text().replace("hidden", "hiden"))
    with pytest.raises(ConfigError, match="did you mean 'hidden'"):
        train(path, tmp_path / "run", root=tmp_path, packed=packed)
