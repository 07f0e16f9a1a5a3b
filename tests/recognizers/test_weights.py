"""Weights come back as they were written; any other file is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from ensemble_htr.errors import AssetError, OutputError  # noqa: E402
from ensemble_htr.recognizers.weights import FORMAT, load_weights, save_weights  # noqa: E402
from ensemble_htr.recognizers.zoo import ARCHITECTURES, build_network  # noqa: E402

ABOUT: dict[str, Any] = {
    "architecture": "crnn",
    "network": {"hidden": 8, "channels": [4, 6, 8]},
    "alphabet": ["a", "é", "e\u0323\u0301"],
    "profile": "fr-archive",
    "facts": {"data": "00ff", "recipe": {"train": {"seed": 1}}},
}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.safetensors"
    tensors = {"layer.weight": torch.randn(3, 4), "layer.count": torch.tensor(7)}
    save_weights(path, tensors, **ABOUT)
    return path


def refused(path: Path) -> str:
    with pytest.raises(AssetError) as caught:
        load_weights(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert len(message) < 300 + len(str(path))
    return message


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_comes_back_in_half_precision(tmp_path: Path, name: str) -> None:
    torch.manual_seed(1)
    network = build_network(name, {}, 7).eval()
    path = tmp_path / "model.safetensors"
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("shortcut.")}
    about = ABOUT | {"architecture": name, "network": {}, "alphabet": list("abcdefg")}
    save_weights(path, state, **about)
    assert path.stat().st_size <= (12_000_000 if name == "transformer" else 7_000_000)
    assert not path.with_name(path.name + ".part").exists()
    back = load_weights(path)
    assert (back.architecture, back.alphabet) == (name, tuple("abcdefg"))
    for key, value in state.items():
        kept = back.tensors[key]
        half = value.dtype.is_floating_point
        assert kept.dtype == (torch.float16 if half else value.dtype)
        assert torch.equal(kept, value.half() if half else value)
    other = build_network(back.architecture, dict(back.network), len(back.alphabet)).eval()
    missing = other.load_state_dict(dict(back.tensors), strict=False)
    assert all(key.startswith("shortcut.") for key in missing.missing_keys)
    assert not missing.unexpected_keys
    images = torch.rand(1, 1, network.config.height, 32)  # type: ignore[union-attr]
    with torch.inference_mode():
        assert torch.allclose(network(images)[0], other(images)[0], atol=0.02)


def test_what_is_said_of_them_comes_back(good: Path) -> None:
    back = load_weights(good)
    assert back.alphabet == tuple(ABOUT["alphabet"])
    assert back.network == ABOUT["network"]
    assert back.facts == ABOUT["facts"]
    assert back.profile == "fr-archive"
    assert int(back.tensors["layer.count"]) == 7


def test_the_same_weights_are_the_same_bytes(tmp_path: Path) -> None:
    tensors = {"b": torch.ones(2), "a": torch.zeros(3)}
    save_weights(tmp_path / "1", tensors, **ABOUT)
    save_weights(tmp_path / "2", tensors, **ABOUT)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_no_file_a_folder_an_empty_file(tmp_path: Path) -> None:
    assert "cannot read" in refused(tmp_path / "none")
    refused(tmp_path)
    (tmp_path / "empty").write_bytes(b"")
    refused(tmp_path / "empty")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)  # sparse: takes no room
    assert "too large" in refused(tmp_path / "huge")


def test_foreign_weights(tmp_path: Path) -> None:
    foreign = safetensors.save({"w": torch.ones(2)}, {"format": "pt"})
    (tmp_path / "foreign").write_bytes(foreign)
    assert f"found format 'pt', wanted '{FORMAT}'" in refused(tmp_path / "foreign")
    (tmp_path / "bare").write_bytes(safetensors.save({"w": torch.ones(2)}))
    refused(tmp_path / "bare")
    torch.save({"w": torch.ones(2)}, tmp_path / "pickle")
    refused(tmp_path / "pickle")


METADATA = [  # what stands in place of the description
    None,
    "not json",
    "[]",
    "5",
    "[" * 100_000,
    json.dumps({k: v for k, v in ABOUT.items() if k != "alphabet"}),
    json.dumps(ABOUT | {"alphabet": "abc"}),
    json.dumps(ABOUT | {"alphabet": [1, 2]}),
    json.dumps(ABOUT | {"alphabet": []}),
    json.dumps(ABOUT | {"alphabet": ["a", "a"]}),
    json.dumps(ABOUT | {"alphabet": ["a", ""]}),
    json.dumps(ABOUT | {"network": 5}),
    json.dumps(ABOUT | {"network": ["x"]}),
    json.dumps(ABOUT | {"facts": None}),
]


@pytest.mark.parametrize("model", METADATA, ids=lambda m: str(m)[:12])
def test_a_description_that_does_not_describe(tmp_path: Path, model: str | None) -> None:
    meta = {"format": FORMAT} | ({} if model is None else {"model": model})
    (tmp_path / "w").write_bytes(safetensors.save({"w": torch.ones(2)}, meta))
    assert "damaged" in refused(tmp_path / "w")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])  # 1e6 overflows fp16
def test_values_that_are_not_finite(tmp_path: Path, value: float) -> None:
    save_weights(tmp_path / "w", {"w": torch.tensor([0.0, value])}, **ABOUT)
    assert "not finite" in refused(tmp_path / "w")


@pytest.mark.parametrize(
    "kind", ["float8_e4m3fn", "float8_e5m2", "float4_e2m1fn_x2", "float64", "complex64", "uint8"]
)
def test_kinds_of_numbers_that_no_recognizer_has(tmp_path: Path, kind: str) -> None:
    if not hasattr(torch, kind):
        pytest.skip(f"this torch has no {kind}")
    meta = {"format": FORMAT, "model": json.dumps(ABOUT)}
    tensors = {"w": torch.zeros(8, dtype=torch.uint8).repeat(8).view(getattr(torch, kind))}
    (tmp_path / "w").write_bytes(safetensors.save(tensors, meta))
    assert f"'w' holds {kind}" in refused(tmp_path / "w")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_truncated_files_and_random_bytes(data: st.DataObject, good: Path) -> None:
    whole, path = good.read_bytes(), good.with_name("hurt")
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    refused(path)
    path.write_bytes(data.draw(st.binary(max_size=200)))
    refused(path)
    flipped = bytearray(whole)
    flipped[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(flipped))
    try:  # a bit flipped in a number or a fact may pass; anything else is our one line
        load_weights(path)
    except AssetError as error:
        assert "\n" not in str(error)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        save_weights(tmp_path / "none" / "w", {"w": torch.ones(2)}, **ABOUT)
