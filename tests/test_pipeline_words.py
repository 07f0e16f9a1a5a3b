"""The word reader as a further source of arcs, on a tiny untrained ensemble."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [recognize]")
pytest.importorskip("cv2")

from ensemble_htr.assets import write_lock  # noqa: E402
from ensemble_htr.errors import AssetError, ConfigError, MissingDependencyError  # noqa: E402
from ensemble_htr.lm.build import build, write_product  # noqa: E402
from ensemble_htr.lm.recipe import from_texts  # noqa: E402
from ensemble_htr.pipeline import Pipeline, PipelineOptions, fingerprint  # noqa: E402
from ensemble_htr.types import Posteriors  # noqa: E402

Load = Callable[..., Pipeline]
SPOKEN = 'on = true\nlm = "words"\nhotwords = ["names.txt"]\nn_best = 3\nbeam = 8\n'


@pytest.fixture
def load(tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """An ensemble with the given table [words] beside a word model of its own."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "models").symlink_to(tiny_home / "models")
    text = tmp_path / "text.txt"
    text.write_text("le dit notaire\nle dit jour\n", encoding="utf-8")
    recipe = from_texts("words", [text], {}, level="word", order=2)
    write_product(build(recipe, tmp_path), home / "lm" / "words", tmp_path)
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(home))

    def load(table: str, **options: object) -> Pipeline:
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        (folder / "names.txt").write_text("Marie\t3\nOrnans\t1\n", encoding="utf-8")
        (folder / "model.toml").write_text(
            f'recognizers = ["crnn", "crnn-b"]\nlm = "fr-archive"\n\n[words]\n{table}'
        )
        write_lock(folder, ["model.toml"])
        chosen = PipelineOptions(model=str(folder), **options)  # type: ignore[arg-type]
        assert fingerprint(chosen)
        return Pipeline.load(chosen)

    return load


def posteriors(pipeline: Pipeline) -> list[Posteriors]:
    rng = np.random.default_rng(3)
    found = []
    for _ in pipeline.recognizers:
        logits = rng.normal(0, 2, (12, 28))
        logp = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        found.append(Posteriors(logp.astype(np.float32), tuple(" abcdefghijklmnopqrstuvwxyz")))
    return found


def test_its_readings_join_each_recognizer(load: Load) -> None:
    pytest.importorskip("pyctcdecode")
    spoken, silent = load(SPOKEN), load("")
    heard = posteriors(spoken)
    rows, more = spoken.hypotheses(heard)
    plain_rows, plain = silent.hypotheses(heard)
    assert rows == plain_rows and silent.words is None
    assert len(more) == len(plain) + 2 * 3 and set(map(repr, plain)) < set(map(repr, more))
    assert {h.source for h in more} == {"crnn", "crnn-b"}
    reading = spoken.judge_line(heard)
    assert reading.network is not None
    texts = {"".join(row) for row in reading.network.rows.values()}
    assert {h.text for h in more} <= texts
    assert spoken.fingerprint() != silent.fingerprint()
    assert {"lm/words", "hotwords/names.txt"} <= set(spoken.products)


def test_without_language_model_or_images_it_is_silent(load: Load) -> None:
    assert load(SPOKEN, lm=False).words is None
    assert load(SPOKEN, images=False).words is None


def test_a_model_that_asks_for_it_says_what_is_missing(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyctcdecode", None)
    with pytest.raises(MissingDependencyError, match="the word reader needs pyctcdecode"):
        load(SPOKEN)
    assert load(SPOKEN.replace("true", "false")).words is None


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ("on = true\n", ConfigError, "words: on is True, wanted only with lm or hotwords"),
        ("weigth = 2.0\n", ConfigError, "did you mean 'weight'"),
        ('on = true\nhotwords = ["none.txt"]\n', AssetError, "none.txt: no such lexicon"),
        ('on = true\nlm = "fr-archive"\n', AssetError, "a model of characters"),
    ],
)
def test_a_table_that_cannot_be(
    load: Load, table: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load(table)
