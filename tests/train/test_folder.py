"""An ensemble as a folder of its own: a subset of another, and parts that were given by paths."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("safetensors")

from ensemble_htr.assets import leaves, verify  # noqa: E402
from ensemble_htr.combine.model import JudgeModel, Mode, dump_judge, load_judge  # noqa: E402
from ensemble_htr.config import from_mapping, load_toml  # noqa: E402
from ensemble_htr.decode import BeamOptions  # noqa: E402
from ensemble_htr.errors import ConfigError, OutputError  # noqa: E402
from ensemble_htr.plan import ModelConfig, PipelineOptions, Plan  # noqa: E402
from ensemble_htr.train.folder import (  # noqa: E402
    Parts,
    _plain,
    config_text,
    parts_of,
    write_ensemble,
)

PATHS = st.lists(st.sampled_from(["a", "b", "..", ".", "~", "~a", "C:", "", "2-a"]), max_size=4)
NAMES = st.one_of(PATHS.map("/".join), PATHS.map("\\".join), st.text(max_size=4))


@pytest.mark.parametrize("chosen", [None, ("crnn",), ("gated", "crnn"), ("transformer",)])
def test_those_who_are_left_speak_with_the_weight_of_all(chosen: tuple[str, ...] | None) -> None:
    whole = Plan.of(PipelineOptions(model="trio")).config
    config = parts_of(Plan.of(PipelineOptions(model="trio", recognizers=chosen))).config
    assert config.recognizers == (chosen or whole.recognizers)
    assert len(config.joint.nets) == len(config.recognizers)
    assert sum(config.joint.nets) == pytest.approx(sum(whole.joint.nets))
    said = dict(zip(whole.recognizers, whole.joint.nets, strict=True))
    shares = [
        net / said[name] for name, net in zip(config.recognizers, config.joint.nets, strict=True)
    ]
    assert max(shares) == pytest.approx(min(shares))


def test_what_is_written_is_read_back() -> None:
    config = ModelConfig(("a\x7f",), lm='"', beam=BeamOptions(prune=float("inf")))
    assert from_mapping(tomllib.loads(config_text(config)), ModelConfig) == config


# ---- parts given by paths ------------------------------------------------------------------


@given(st.lists(NAMES), st.sets(st.sampled_from(["a", "x", "2-a"])))
def test_plain_names_stay_and_paths_get_others(names: list[str], taken: set[str]) -> None:
    found = _plain(names, "x", taken)
    assert list(found) == list(dict.fromkeys(names))
    assert len(set(found.values())) == len(found) and not taken & set(found.values())
    for name, new in found.items():
        assert not set(new) & set("/\\:") and new not in (".", "..") and not new.startswith("~")
        assert not leaves(new) and bool(new) == bool(name)
        assert new == name or _plain([name], "x")[name] != name or name in taken


@pytest.fixture
def scattered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder ``dl/it`` whose ``model.toml`` names everything by paths."""
    here = tmp_path / "dl"
    for name in ("one/net", "two/net"):
        (here / name).mkdir(parents=True)
        (here / name / "model.safetensors").write_text(name)
    (here / "it" / "judges").mkdir(parents=True)
    modes = {"image": Mode(votes={"./dl/one/net": 1.5, "tess": 2.0}, images={"./dl/one/net": 0.5})}
    (here / "it" / "judges" / "j.json").write_text(dump_judge(JudgeModel(modes=modes)))
    for name in ("lm", "back", "words"):
        (here / name / "small").mkdir(parents=True)
        (here / name / "small" / "model.arpa").write_text(name)
    (here / "names").mkdir()
    (here / "names" / "given.tsv.xz").write_text("")
    (here / "names.tsv").write_text("Marie")
    (here / "it" / "lock.json").write_text("Paul")  # a list, says model.toml
    (here / "it" / "model.toml").write_text(f"""
recognizers = ["./dl/one/net", "{here}/two/net", "crnn"]
lm = "{here}/lm/small"
backward = "./dl/back/small/"
lexicon = "./dl/it/../names"
combiner = "judges/j.json"
[joint]
nets = [1.0, 2.0, 3.0]
[words]
on = true
lm = "./dl/words/small"
hotwords = ["../names.tsv", "lock.json"]
""")
    monkeypatch.chdir(tmp_path)
    return here


def test_what_was_given_by_paths_is_written_under_plain_names(
    scattered: Path, tmp_path: Path
) -> None:
    parts = parts_of(Plan.of(PipelineOptions(model="./dl/it", edited=True)))
    out = tmp_path / "deep" / "er"
    before = set(tmp_path.rglob("*"))
    write_ensemble(parts, out, "# It\n")
    assert all(path.is_relative_to(out.parent) for path in set(tmp_path.rglob("*")) - before)
    assert [path.name for path in out.parent.iterdir()] == ["er"]
    config = load_toml(out / "model.toml", ModelConfig)
    assert config.recognizers == ("net", "2-net", "crnn") and config.joint.nets == (1.0, 2.0, 3.0)
    assert (config.lm, config.backward, config.lexicon) == ("small", "2-small", "names")
    assert (config.words.lm, config.words.hotwords) == ("3-small", ("names.tsv", "2-lock.json"))
    judge = load_judge(out / config.combiner).modes["image"]
    assert judge.votes == {"net": 1.5, "tess": 2.0} and judge.images == {"net": 0.5}
    verify(out)
    scattered.rename(tmp_path / "gone")  # it holds all that it needs
    plan = Plan.of(PipelineOptions(model=str(out)))
    assert plan.weights["2-net"].read_text() == "two/net" and plan.lm is not None
    assert all(path.is_relative_to(out) for path in (*plan.weights.values(), *plan.words.values()))
    assert {p.read_text() for p in plan.words.values()} == {"words", "Marie", "Paul"}
    assert plan.backward is not None and plan.backward.read_text() == "back"
    assert parts_of(plan) == dataclasses.replace(parts_of(plan), renamed={})


@pytest.mark.parametrize("combiner", ["../victim.rc", "/etc/judge.json", "a/../../b", "C:\\x"])
def test_a_combiner_outside_the_folder_is_refused(combiner: str, tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_text(f'recognizers = ["crnn"]\ncombiner = {json.dumps(combiner)}\n')
    with pytest.raises(ConfigError, match="lies outside the ensemble's folder") as caught:
        load_toml(path, ModelConfig)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "parts",
    [
        Parts(ModelConfig(("../x",)), {"../x": Path("model.safetensors")}),
        Parts(ModelConfig(("/x",)), {"../../x": Path("model.safetensors")}),
        Parts(ModelConfig(("a",), lm="../../x"), {}, lm=Path("m.arpa")),
        Parts(ModelConfig(("a",)), {}, words={"hotwords/../x": Path("m.arpa")}),
    ],
)
def test_nothing_is_written_outside_the_folder(parts: Parts, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="lies outside"):
        write_ensemble(parts, tmp_path / "out", "")
    assert not (tmp_path / "out").exists()
