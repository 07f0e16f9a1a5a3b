"""Recipes are strict; those that ship load and name networks of the size they promise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from ensemble_htr.errors import ConfigError, InputError  # noqa: E402
from ensemble_htr.recognizers.zoo import build_network  # noqa: E402
from ensemble_htr.train.recipe import load_recipe  # noqa: E402

MODELS = Path(__file__).resolve().parents[2] / "models"
SHIPPED = sorted(MODELS.glob("*/recipe.toml"))
START = 'architecture = "crnn"\n[data]\ntrain = [{ path = "t" }]\nval = "v"\n'


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_shipped_recipes_load(path: Path) -> None:
    recipe = load_recipe(path)
    sources = [source.path for source in recipe.data.train]
    assert sources == ["fr19/train", "hands/train"]
    assert recipe.data.val == "fr19/val"  # never a test split, never judge
    assert sum(source.share for source in recipe.data.train) == pytest.approx(1)
    network = build_network(recipe.architecture, dict(recipe.network), 110)
    most = 6_000_000 if recipe.architecture == "transformer" else 3_500_000
    assert sum(p.numel() for p in network.parameters()) <= most


def test_shipped_recipes_differ_on_purpose() -> None:
    recipes = [load_recipe(path) for path in SHIPPED]
    assert len(recipes) >= 2
    assert len({recipe.train.seed for recipe in recipes}) == len(recipes)
    assert len({str(recipe.augment) for recipe in recipes}) == len(recipes)


def test_without_modern_hands_nothing_else_differs() -> None:
    plain, other = (load_recipe(MODELS / "crnn" / n) for n in ("recipe.toml", "without-hands.toml"))
    assert [source.path for source in other.data.train] == ["fr19/train"]
    whole = replace(plain.data, train=other.data.train)
    assert other == replace(plain, data=whole, description=other.description)


def test_defaults(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(START)
    recipe = load_recipe(tmp_path / "recipe.toml")
    assert recipe.data.train[0].share == 1.0
    assert recipe.data.profile == "fr-archive"


WRONG = [  # what is added to a good recipe, what the message must hold
    ("[train]\nlrate = 1.0", "unknown key 'lrate'; did you mean 'rate'?"),
    ("[train]\nepoch = 3", "did you mean 'epochs'?"),
    ("[augment]\nslnat = 3.0", "did you mean 'slant'?"),
    ("[trian]\nepochs = 3", "did you mean 'train'?"),
    ("[train]\nepochs = 1.5", "wanted int"),
    ('[train]\nrate = "fast"', "wanted float"),
    ("[train]\nepochs = true", "wanted int"),
    ("[train]\nepochs = 0", "epochs is 0, wanted 1 or more"),
    ("[train]\nlines_per_epoch = 0", "lines_per_epoch"),
    ("[train]\npatience = 0", "patience"),
    ("[train]\nrate = -1.0", "rate is -1.0"),
    ("[train]\nrate = nan", "rate is nan"),
    ("[train]\nema = 1.0", "ema is 1.0"),
    ("[train]\nwarmup = -0.1", "warmup"),
    ("[augment]\nnoise = -0.1", "noise is -0.1"),
    ("[augment]\nslant = inf", "slant is inf"),
    ("[augment]\nelastic_step = 0.0", "elastic_step"),
    ("[train\n", "not valid TOML"),
]


@pytest.mark.parametrize(("added", "message"), WRONG)
def test_a_wrong_recipe_is_one_clear_line(tmp_path: Path, added: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(START + added)
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


DATA = [  # the [data] table, what the message must hold
    ("", "'train' is missing"),
    ('train = []\nval = "v"', "names no folder"),
    ('train = [{ path = "t", shear = 1 }]\nval = "v"', "did you mean 'share'?"),
    ('train = [{ path = "t", share = -1 }]\nval = "v"', "negative"),
    ('train = [{ path = "t" }]\nval = "v"\nheight = 4', "height is 4"),
]


@pytest.mark.parametrize(("table", "message"), DATA)
def test_wrong_data(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "r.toml").write_text('architecture = "crnn"\n[data]\n' + table)
    with pytest.raises(ConfigError) as caught:
        load_recipe(tmp_path / "r.toml")
    assert message in str(caught.value)


def test_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="recipe"):
        load_recipe(tmp_path / "none.toml")
