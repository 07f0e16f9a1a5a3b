"""Exported networks read as their originals do, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("cv2")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from ensemble_htr.assets import read_lock, resolve, verify  # noqa: E402
from ensemble_htr.decode import BeamDecoder, BeamOptions, ctc_score  # noqa: E402
from ensemble_htr.errors import AssetError, InputError, OutputError, UsageError  # noqa: E402
from ensemble_htr.recognizers.attention import load_recognizer  # noqa: E402
from ensemble_htr.recognizers.ctc import CtcRecognizer  # noqa: E402
from ensemble_htr.recognizers.onnx import OnnxRecognizer  # noqa: E402
from ensemble_htr.train import export as exporting  # noqa: E402
from ensemble_htr.types import Line  # noqa: E402

Here = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).resolve().parents[2]
PARTS = {"decoder": BeamDecoder(BeamOptions(alpha=0.0), None, "x"), "scorer": ctc_score}

_READ = """
import json, sys
sys.modules["torch"] = sys.modules["safetensors"] = None  # importing them fails
from pathlib import Path
from ensemble_htr.assets import resolve
from ensemble_htr.pipeline import Pipeline, PipelineOptions

pipeline = Pipeline.load(PipelineOptions(model=sys.argv[1], lm=False))
result = pipeline.read_page(resolve("sample", "letter") / "page.xml")
print(json.dumps({id: reading.text for id, reading in result.readings.items()}))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, tiny_home: Path) -> Path:
    """The ensemble ``tiny`` for ONNX Runtime."""
    out = tmp_path_factory.mktemp("exported") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))
        exporting.export("tiny", out)
    return out


def test_any_lines_of_any_width_are_heard_alike(exported: Path, tiny_home: Path) -> None:
    rng = np.random.default_rng(5)
    widths = (3, 16, 40, 41, 300, 700)
    lines = [Line(str(w), image=rng.integers(0, 256, (48, w), np.uint8)) for w in widths]
    for name in ("crnn", "crnn-b"):
        before = CtcRecognizer(name, tiny_home / "models" / name / "model.safetensors",
                               precision="fp32", **PARTS)  # fmt: skip
        after = OnnxRecognizer(name, exported / "models" / name / "model.onnx", **PARTS)
        assert after.alphabet == before.alphabet
        for one, other in zip(before.posteriors(lines), after.posteriors(lines), strict=True):
            assert one.logp.shape == other.logp.shape
            assert one.pixels_per_frame == other.pixels_per_frame
            assert np.abs(one.logp - other.logp).max() <= exporting.DIFFERENCE


def test_an_encoder_is_exported_without_its_decoder(
    tmp_path: Path, tiny_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))
    (tmp_path / "model.toml").write_text('recognizers = ["writer"]\n[search]\ndecoder = false\n')
    exporting.export(str(tmp_path), tmp_path / "out")
    rng = np.random.default_rng(6)
    widths = (3, 16, 40, 41, 300, 700, 9000)  # the last beyond the positions that are kept
    lines = [Line(str(w), image=rng.integers(0, 256, (48, w), np.uint8)) for w in widths]
    before = load_recognizer("writer", tiny_home / "models" / "writer" / "model.safetensors",
                             precision="fp32", writes=False, **PARTS)  # fmt: skip
    after = OnnxRecognizer("writer", tmp_path / "out" / "models" / "writer" / "model.onnx", **PARTS)
    for one, other in zip(before.posteriors(lines), after.posteriors(lines), strict=True):
        assert one.logp.shape == other.logp.shape
        assert np.abs(one.logp - other.logp).max() <= exporting.DIFFERENCE
    endless = Line("endless", image=np.zeros((48, 8 * exporting.LONGEST + 64), np.uint8))
    with pytest.raises(InputError, match="cut them"):
        after.posteriors([endless])


def test_the_commands(
    tmp_path: Path, tiny_home: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))
    status, out, err = here("models", "export", "crnn", "-o", tmp_path / "light")
    assert status == 0 and out.strip() == str(tmp_path / "light" / "model.onnx"), err
    assert "within" in err
    status, out, _ = here("models", "show", str(tmp_path / "light"))
    assert status == 0 and "model.onnx" in out and "whole" in out
    status, out, _ = here("models", "show", "fr-archive")  # the language model comes first
    assert status == 0 and out.startswith("# Language model fr-archive")
    status, _, err = here("models", "show", "crn")
    assert status == 2 and "did you mean 'crnn'" in err
    (tmp_path / "light" / "model.onnx").write_bytes(b"short")
    status, _, err = here("models", "show", str(tmp_path / "light"))
    assert status == 1 and "truncated" in err and err.count("\n") == 1


def test_the_folder_tells_what_it_is(exported: Path) -> None:
    assert "models/crnn/model.onnx" in verify(exported).files
    words = json.loads((exported / "models/crnn/model.json").read_text())
    assert words["format"] == "ensemble-htr-onnx-1" and words["difference"] <= 1e-4
    assert words["height"] == 48 and words["pixels_per_frame"] == 4 and len(words["alphabet"]) == 27
    assert read_lock(exported / "models/crnn").data == {"weights": words["source"]["sha256"]}


@pytest.mark.slow
def test_the_sample_reads_the_same_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # ONNX Runtime computes in fp32 everywhere, torch in bfloat16 where the CPU is quick at it
    monkeypatch.setattr("ensemble_htr.recognizers.ctc.has_fast_bf16", lambda: False)
    net = tmp_path / "models" / "crnn"
    exporting.export("crnn", net)
    (tmp_path / "model.toml").write_text('recognizers = ["crnn"]\n')
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    from ensemble_htr.pipeline import Pipeline, PipelineOptions

    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "model.toml").write_text('recognizers = ["crnn"]\n')
    options = PipelineOptions(model=str(tmp_path / "torch"), lm=False)
    wanted = Pipeline.load(options).read_page(resolve("sample", "letter") / "page.xml")
    assert read == {id: reading.text for id, reading in wanted.readings.items()}
    assert len(read) > 5 and all(read.values())


def test_a_network_that_reads_otherwise_is_refused(
    tmp_path: Path, tiny_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))
    monkeypatch.setattr(exporting, "DIFFERENCE", -1.0)
    with pytest.raises(AssetError, match="differs from its original"):
        exporting.export("crnn", tmp_path / "out")
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(AssetError, match="differs from its original"):
        exporting.export("crnn", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_ensemble_is_exported_whole_or_not_at_all(
    tmp_path: Path, tiny_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))
    found = iter((0.0, 1.0))
    monkeypatch.setattr(exporting, "_difference", lambda *_: next(found))
    with pytest.raises(AssetError, match=r"crnn-b/model.safetensors: exported, it differs"):
        exporting.export("tiny", tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["model.onnx", "model.json", "lock.json"])
def test_files_of_ones_own_stay(
    tmp_path: Path, tiny_home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=f"{name}: is there already"):
        exporting.export("crnn", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    (tmp_path / name).rename(tmp_path / "mine.txt")
    assert exporting.export("crnn", tmp_path) == [tmp_path / "model.onnx"]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"mine.txt", "model.onnx", "model.json", "lock.json"} and verify(tmp_path)


def test_names_that_are_paths_lead_nowhere(
    tmp_path: Path, tiny_home: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))
    source, out = tmp_path / "dl" / "it", tmp_path / "deep" / "er"
    source.mkdir(parents=True)
    source.with_name("victim.rc").write_text("evil")
    (source / "model.toml").write_text('recognizers = ["crnn"]\ncombiner = "../victim.rc"\n')
    status, _, err = here("models", "export", source, "-o", out)
    assert status == 2 and "lies outside" in err and err.count("\n") == 1
    (source / "model.toml").write_text(f'recognizers = ["{tiny_home}/models/crnn/../crnn-b"]\n')
    status, shown, err = here("models", "export", source, "-o", out)
    assert status == 0 and shown.strip() == str(out / "models" / "crnn-b" / "model.onnx"), err
    assert [path.name for path in out.parent.iterdir()] == ["er"] and verify(out)


def test_what_cannot_be_exported(
    tmp_path: Path, tiny_home: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tiny_home))
    (tmp_path / "model.toml").write_text('recognizers = ["crnn", "writer"]\n')
    with pytest.raises(UsageError, match="decoder of its own"):
        exporting.export(str(tmp_path), tmp_path / "out")
    with pytest.raises(UsageError, match="exported already"):
        exporting.export(str(exported / "models/crnn"), tmp_path / "out")
    with pytest.raises(UsageError, match="model.onnx"):
        exporting.export("crnn", tmp_path / "crnn.onnx")
    with pytest.raises(OutputError, match="is there already"):
        exporting.export("tiny", exported)


@pytest.mark.parametrize("what", ["other bytes", "no words", "not ours", "huge"])
def test_broken_networks_are_one_line(exported: Path, tmp_path: Path, what: str) -> None:
    source = exported / "models" / "crnn"
    network, words = tmp_path / "model.onnx", tmp_path / "model.json"
    network.write_bytes((source / "model.onnx").read_bytes())
    told = json.loads((source / "model.json").read_text())
    if what == "other bytes":
        network.write_bytes(network.read_bytes()[:-1] + b"x")
    elif what == "not ours":
        told["format"] = "somebody's"
    elif what == "huge":
        told["height"] = 10**6
    if what != "no words":
        words.write_text(json.dumps(told))
    with pytest.raises(AssetError) as caught:
        OnnxRecognizer("x", network, **PARTS)
    assert "\n" not in str(caught.value)
