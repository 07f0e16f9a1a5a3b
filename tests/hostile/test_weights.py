"""Weights that are damaged, of another network, or no weights at all."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from ensemble_htr.assets import write_lock

from .conftest import TINY, Verdict, good_page


@pytest.fixture
def home(tiny_home: Path, tmp_path: Path) -> Path:
    place = tmp_path / "home"
    shutil.copytree(tiny_home / "models", place / "models")
    return place


def run(home: Path, tmp_path: Path) -> Verdict:
    out = tmp_path / "out"
    words = ["transcribe", good_page(tmp_path / "pages"), "-o", out, *TINY]
    return Verdict(words, out, home)


def header(data: bytes, **changed: object) -> bytes:
    """safetensors (an 8-byte length, JSON, the numbers) with parts of its JSON changed."""
    size = struct.unpack("<Q", data[:8])[0]
    table = json.loads(data[8 : 8 + size]) | changed
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


def refused(home: Path, tmp_path: Path, word: str) -> None:
    found = run(home, tmp_path)
    (line,) = found.complaints
    assert found.code == 1 and "crnn" in line and word in line and line.isprintable(), line
    assert len(line) < 1000 and not found.written and found.seconds < 20


def test_swapped_weights(home: Path, tmp_path: Path) -> None:
    """One recognizer's file under another's name: its lock tells."""
    models = home / "models"
    shutil.copy(models / "crnn-b" / "model.safetensors", models / "crnn" / "model.safetensors")
    refused(home, tmp_path, "expected")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_truncated_weights(share: float, home: Path, tmp_path: Path) -> None:
    path = home / "models" / "crnn" / "model.safetensors"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused(home, tmp_path, "expected")
    write_lock(path.parent, [path.name])  # a lock that vouches for rubbish helps nobody
    refused(home, tmp_path, "model.safetensors")


def test_one_bit(home: Path, tmp_path: Path) -> None:
    path = home / "models" / "crnn" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    refused(home, tmp_path, "sha256")


RUBBISH = {
    "a length of 2^63": struct.pack("<Q", 1 << 63) + b"{}",
    "a length of 99 MB": struct.pack("<Q", 99_000_000) + b"{}",
    "a pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "a zip": b"PK\x03\x04" + bytes(1000),
    "no tensors": struct.pack("<Q", 2) + b"{}",
    "deep JSON": struct.pack("<Q", 100_000) + b"[" * 100_000,
    "not a number": b"nan" * 1000,
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
}


@pytest.mark.parametrize("case", RUBBISH)
def test_what_is_no_weights(case: str, home: Path, tmp_path: Path) -> None:
    path = home / "models" / "crnn" / "model.safetensors"
    path.write_bytes(RUBBISH[case])
    write_lock(path.parent, [path.name])
    refused(home, tmp_path, "model.safetensors")


def test_weights_that_do_not_fit_what_they_say(home: Path, tmp_path: Path) -> None:
    path = home / "models" / "crnn" / "model.safetensors"
    whole = path.read_bytes()
    size = struct.unpack("<Q", whole[:8])[0]
    table = json.loads(whole[8 : 8 + size])
    facts = table["__metadata__"]
    first = next(name for name in table if table[name].get("dtype") == "F16")
    changes = [
        {"__metadata__": {}},
        {"__metadata__": {**facts, **dict.fromkeys(facts, "")}},
        {"__metadata__": {**facts, **dict.fromkeys(facts, "{")}},
        {"__metadata__": {key: value.replace("8", "16") for key, value in facts.items()}},
        {"__metadata__": {key: value.replace("crnn", "gated") for key, value in facts.items()}},
        {"__metadata__": {key: value.replace("crnn", "nosuch") for key, value in facts.items()}},
        {"__metadata__": {key: value.replace("8", "99999999") for key, value in facts.items()}},
        {first: {**table[first], "dtype": "I64"}},
        {first: {**table[first], "shape": [10**12]}},
        {first: {**table[first], "data_offsets": [0, 10**12]}},
    ]
    for number, change in enumerate(changes):
        path.write_bytes(header(whole, **change))
        write_lock(path.parent, [path.name])
        assert run(home, tmp_path).code == 1, number
        refused(home, tmp_path, "model.safetensors")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lock.json", "{"),
        ("lock.json", '{"schema": 1, "files": {"../../x": {"sha256": "", "bytes": 0}}}'),
        ("lock.json", '{"schema": 1, "files": {"model.safetensors": {"sha256": 5}}}'),
        ("lock.json", "[" * 100_000),
        ("lock.json", ""),
    ],
)
def test_a_damaged_lock(name: str, text: str, home: Path, tmp_path: Path) -> None:
    (home / "models" / "crnn" / name).write_text(text)
    refused(home, tmp_path, name)


@pytest.mark.parametrize(
    "text",
    ["", "recognizers = 5", "recognizers = [", 'recognizers = ["crnn"]\nx = 1', "\xff",
     "recognizers = " + "[" * 100_000, f'recognizers = ["crnn"]\nbeam = {{beta = {"9" * 400}}}',
     'recognizers = ["crnn"]\nbeam = {alpha = nan}', 'recognizers = ["crnn"]\nbeam = {beta = inf}'],
)  # fmt: skip
def test_a_damaged_ensemble(text: str, home: Path, tmp_path: Path) -> None:
    path = home / "models" / "tiny" / "model.toml"
    path.write_text(text, encoding="latin-1")
    write_lock(path.parent, [path.name])
    found = run(home, tmp_path)
    (line,) = found.complaints
    assert found.code in (1, 2) and "model.toml" in line and not found.written


MODE = '{"format": "ensemble-htr-judge-1", "modes": {"text": {"language": %s}}}'


@pytest.mark.parametrize(
    "text",
    ["", "[]", "[" * 100_000, '{"format": "other"}', MODE % "NaN", MODE % "1e999",
     MODE % ("9" * 400), MODE % ("9" * 5000), MODE % '"x"', MODE % "{}", "\xff"],
)  # fmt: skip
def test_a_damaged_combiner(text: str, tmp_path: Path, verb: Callable[..., Verdict]) -> None:
    path, rows, out = tmp_path / "judge.json", tmp_path / "rows.tsv", tmp_path / "out"
    path.write_text(text, encoding="latin-1")
    rows.write_text("a\tle pere\n")
    engine = f"--engine=x={rows}"
    found = verb("combine", engine, "-o", out, "--no-lm", "--combiner", path, out=out)
    (line,) = found.complaints
    assert found.code == 1 and "judge.json" in line and not found.written
