"""From a file to a model: packed files, the cache, corrupt files, the choice of the backend."""

from __future__ import annotations

import gzip
import io
import lzma
from pathlib import Path

import pytest

from ensemble_htr.errors import AssetError, MissingDependencyError, UsageError
from ensemble_htr.lm import kenlm_backend, load, text_logprob
from ensemble_htr.lm.arpa import ArpaModel, write_arpa

from .shared import TOKENS, line_logprob, small


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ensemble-htr"


@pytest.fixture(scope="module")
def data() -> bytes:
    buffer = io.BytesIO()
    write_arpa(small(), buffer, 7)
    return buffer.getvalue()


PACK = {".arpa": bytes, ".arpa.xz": lzma.compress, ".arpa.gz": gzip.compress}


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("backend", ["auto", "arpa", "kenlm"])
def test_every_form(suffix: str, backend: str, tmp_path: Path, cache: Path, data: bytes) -> None:
    if backend == "kenlm":
        pytest.importorskip("kenlm")
    path = tmp_path / f"m{suffix}"
    path.write_bytes(PACK[suffix](data))
    lm = load(path, backend)  # type: ignore[arg-type]
    for line in TOKENS:
        assert text_logprob(lm, line) == pytest.approx(line_logprob(small(), line), abs=1e-4)


def test_unpacked_once_and_whole(tmp_path: Path, cache: Path, data: bytes) -> None:
    pytest.importorskip("kenlm")
    path = tmp_path / "m.arpa.xz"
    path.write_bytes(lzma.compress(data))
    load(path, "kenlm")
    (copy,) = cache.iterdir()
    assert copy.read_bytes() == data and copy.suffix == ".arpa"
    before = copy.stat().st_mtime_ns
    load(path, "kenlm")
    assert [p.stat().st_mtime_ns for p in cache.iterdir()] == [before]


def test_no_cache_no_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    (tmp_path / "file").write_text("in the way of the cache folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    path = tmp_path / "m.arpa.xz"
    path.write_bytes(lzma.compress(data))
    assert text_logprob(load(path), TOKENS[0]) < 0


@pytest.mark.parametrize("backend", ["auto", "arpa", "kenlm"])
@pytest.mark.parametrize("suffix", [".arpa.xz", ".arpa.gz", ".arpa"])
def test_corrupt_files(suffix: str, backend: str, tmp_path: Path, cache: Path, data: bytes) -> None:
    if backend == "kenlm":
        pytest.importorskip("kenlm")
    packed = PACK[suffix](data)
    for bad in (b"", b"garbage", packed[: len(packed) // 2], b"\\data\\\nngram 1=1\n"):
        path = tmp_path / f"m{suffix}"
        path.write_bytes(bad)
        with pytest.raises(AssetError) as caught:
            load(path, backend)  # type: ignore[arg-type]
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not list(cache.glob(".unpack-*"))


def test_bombs_are_stopped(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    pytest.importorskip("kenlm")
    path = tmp_path / "m.arpa.gz"
    path.write_bytes(gzip.compress(data))
    monkeypatch.setattr("ensemble_htr.lm.loading.MAX_BYTES", 1000)
    with pytest.raises(AssetError, match="unpacks to more than"):
        load(path, "kenlm")
    assert not list(cache.iterdir())


def test_without_kenlm_ours_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    path = tmp_path / "m.arpa"
    path.write_bytes(data)
    monkeypatch.setitem(__import__("sys").modules, "kenlm", None)
    assert not kenlm_backend.available()
    assert isinstance(load(path), ArpaModel)
    with pytest.raises(MissingDependencyError, match=r"ensemble-htr\[kenlm\]"):
        load(path, "kenlm")


def test_wrong_calls(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="no such language model"):
        load(tmp_path / "none.arpa")
    with pytest.raises(UsageError, match="did you mean 'kenlm'"):
        load(tmp_path / "none.arpa", "kenml")  # type: ignore[arg-type]
    (tmp_path / "m.klm").write_bytes(b"x")
    with pytest.raises(AssetError, match="only KenLM"):
        load(tmp_path / "m.klm", "arpa")
    with pytest.raises(AssetError):
        load(tmp_path / "m.klm")
