"""A name becomes a verified folder, in a clone, a wheel and an sdist alike."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr import assets
from ensemble_htr.errors import AssetError, UsageError
from ensemble_htr.files import MAX_BYTES

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(assets.HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


def _product(folder: Path, content: bytes = b"weights", **facts: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "w.bin").write_bytes(content)
    (folder / "card.md").write_text("# Title\n\nWhat it is: all of it.\nMore.\n\nRest.\n")
    assets.write_lock(folder, ["w.bin"], licence="CC0-1.0", facts=facts)
    return folder


def test_the_bundled_sample_is_what_its_lock_says() -> None:
    folder = assets.resolve("sample", "letter")
    assert set(assets.verify(folder).files) == {"page.jpg", "page.xml", "truth.tsv"}
    assert (folder / "page.jpg").stat().st_size <= 400_000


def test_every_product_of_the_clone_is_whole() -> None:
    for kind in assets.KINDS:
        for folder in assets.available(kind).values():  # type: ignore[arg-type]
            assert assets.verify(folder).licence
            assert assets.card_line(folder)


def test_the_order_of_places(home: Path, tmp_path: Path) -> None:
    mine = _product(home / "sample" / "letter")
    other = _product(tmp_path / "elsewhere" / "letter")
    assert assets.resolve("sample", "letter") == mine
    assert assets.resolve("sample", str(other)) == other
    assert assets.available("sample")["letter"] == mine


def test_a_plain_name_is_never_a_folder_here(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _product(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"no model called 'own'.*write \./own"):
        assets.resolve("models", "own")
    assert assets.resolve("models", "./own") == Path("own")


def test_an_unknown_name_gets_the_choices() -> None:
    with pytest.raises(UsageError, match=r"no sample called 'leter'; did you mean 'letter'\?"):
        assets.resolve("sample", "leter")
    with pytest.raises(AssetError, match="no such model"):
        assets.resolve("models", "/no/such/folder")
    with pytest.raises(UsageError, match="unknown kind of asset 'weights'"):
        assets.resolve("weights", "x")  # type: ignore[arg-type]
    for odd in ("", ".", ".."):
        with pytest.raises(UsageError):
            assets.resolve("models", odd)


def test_a_file_for_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _product(tmp_path / "own")
    (folder / "model.toml").touch()
    assert assets.resolve("models", str(folder / "model.toml")) == folder
    monkeypatch.chdir(folder)
    assert assets.resolve("models", "./model.toml") == Path()
    with pytest.raises(UsageError, match=r"w\.bin: is no model; wanted a folder, as .*/own/$"):
        assets.resolve("models", str(folder / "w.bin"))
    with pytest.raises(UsageError, match=r"model\.toml: is no language pack; wanted a folder"):
        assets.resolve("packs", "./model.toml")
    (folder / "w.bin").write_bytes(b"wEights")
    with pytest.raises(AssetError, match="the file was changed"):
        assets.resolve("models", "./model.toml")


def test_a_name_that_no_file_can_have_is_unknown(home: Path) -> None:
    with pytest.raises(UsageError, match="no model called"):
        assets.resolve("models", "x" * 300, near=home)
    with pytest.raises(AssetError, match="no such model"):
        assets.resolve("models", "./" + "x" * 300)


def test_a_folder_by_path_may_do_without_a_lock(home: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    assert assets.resolve("models", str(bare)) == bare
    (home / "models" / "bare").mkdir(parents=True)
    with pytest.raises(AssetError, match=r"holds no finished product"):
        assets.resolve("models", "bare")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"weight", r"expected 7 bytes, found 6"),  # truncated
        (b"wEights", r"expected sha256 [0-9a-f]{16}\.\.\., found [0-9a-f]{16}"),  # one bit
        (b"version https://x", r"large-file pointer"),  # never fetched
        (None, r"cannot be read"),  # gone
    ],
)
def test_a_changed_file_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    folder = _product(tmp_path / "p")
    if content is None:
        (folder / "w.bin").unlink()
    else:
        (folder / "w.bin").write_bytes(content)
    with pytest.raises(AssetError, match=message) as caught:
        assets.resolve("models", str(folder))
    assert "w.bin" in str(caught.value) and "\n" not in str(caught.value)
    assert assets.resolve("models", str(folder), check=False) == folder


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": 2, "files": {}}',
        '{"schema": 1, "files": {}}',
        '{"schema": 1, "files": {"a": {}}}',
        '{"schema": 1, "files": {"../a": {"sha256": "0", "bytes": 1}}}',
        '{"schema": 1, "files": {"/a": {"sha256": "0", "bytes": 1}}}',
        '{"schema": 1, "files": {"a\\u0000b": {"sha256": "0", "bytes": 1}}}',
        '{"schema": 1, "files": {"a\\ud800": {"sha256": "0", "bytes": 1}}}',
        '{"schema": 1, "files": {"a": {"sha256": "0", "bytes": Infinity}}}',
        '{"schema": 1, "files": {"a": {"sha256": "0", "bytes": -1}}}',
        '{"schema": 1, "files": {"a": {"sha256": "0", "bytes": 1e3}}}',
        '{"schema": 1, "files": {"a": {"sha256": "0", "bytes": 9e999}}}',
        '{"schema": 1, "product": 3}',
        "[" * 100_000,
        " " * (MAX_BYTES + 1),
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
def test_a_bad_lock_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock.json").write_text(text, encoding="utf-8")
    with pytest.raises(AssetError) as caught:
        assets.verify(tmp_path)
    assert str(tmp_path) in str(caught.value) and "lock.json" in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_only_regular_files_are_read(tmp_path: Path, kind: str) -> None:
    """The lock says nothing of them that is wrong, but reading them would never end."""
    folder = _product(tmp_path / "p", b"")
    odd = folder / "w.bin"
    odd.unlink()
    os.mkfifo(odd) if kind == "pipe" else odd.symlink_to("/dev/zero")
    with pytest.raises(
        AssetError, match=r"w\.bin: named in lock\.json but cannot be read \(no reg"
    ):
        assets.verify(folder)
    (folder / "card.md").unlink()
    odd.rename(folder / "card.md")
    assert assets.card_line(folder) == ""
    (folder / "card.md").rename(folder / "lock.json")
    with pytest.raises(AssetError, match=r"lock\.json: cannot be read: no regular file"):
        assets.verify(folder)


def test_a_linked_file_is_as_good(tmp_path: Path) -> None:
    folder = _product(tmp_path / "p")
    (folder / "w.bin").rename(tmp_path / "elsewhere")
    (folder / "w.bin").symlink_to(tmp_path / "elsewhere")
    assert assets.verify(folder).bytes == 7


def test_both_spellings_of_a_lock(tmp_path: Path) -> None:
    folder = _product(tmp_path / "p", parameters=12)
    lock = assets.verify(folder)
    assert (lock.bytes, lock.licence, lock.facts) == (7, "CC0-1.0", {"parameters": 12})
    entry = lock.files["w.bin"]
    product = {"file": "w.bin", "bytes": entry.bytes, "sha256": entry.sha256}
    single = {"schema": 1, "product": product, "licence": "CC0-1.0", "parameters": 12}
    (folder / "lock.json").write_text(json.dumps(single))
    assert assets.verify(folder) == lock


def test_the_card_says_what_it_is(tmp_path: Path) -> None:
    assert assets.card_line(_product(tmp_path / "p")) == "What it is"
    assert assets.card_line(tmp_path) == ""
    (tmp_path / "card.md").write_bytes(b"# T\n\nUn caf\xe9. Oui.\n")
    assert assets.card_line(tmp_path) == "Un caf\ufffd."


@given(st.binary(max_size=300_000))
def test_the_hash_is_that_of_hashlib(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("hash") / "f"
    path.write_bytes(data)
    assert assets.sha256_file(path) == hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel made from the sdist made from the clone: both have to be whole."""
    pytest.importorskip("hatchling", reason="hatchling comes with the extra [dev]")
    folder = tmp_path_factory.mktemp("dist")
    _build(ROOT, "sdist", folder)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (unpacked,) = (p for p in folder.iterdir() if p.is_dir())
    _build(unpacked, "wheel", folder)
    (path,) = folder.glob("*.whl")
    return path


def _build(source: Path, target: str, out: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_wheel_has_one_package_and_every_product(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"ensemble_htr", next(t for t in tops if t.endswith(".dist-info"))}
    for kind in assets.KINDS:
        for name, folder in assets.available(kind).items():  # type: ignore[arg-type]
            for file in ("lock.json", "card.md", *assets.read_lock(folder).files):
                assert f"ensemble_htr/_shelf/{kind}/{name}/{file}" in names


@pytest.mark.slow
def test_products_are_found_inside_the_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "import ensemble_htr; from ensemble_htr.assets import resolve;"
        "print(ensemble_htr.__file__); print(resolve('sample', 'letter'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    environment.pop(assets.HOME_VARIABLE, None)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    package, sample = map(Path, done.stdout.split())
    assert package.is_relative_to(tmp_path / "site")
    assert sample == package.parent / "_shelf" / "sample" / "letter"


def test_a_recipe_without_its_product_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "coming").mkdir(parents=True)
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tmp_path))
    with pytest.raises(AssetError, match=r"coming: holds no finished product .*models list"):
        assets.resolve("models", "coming")


def test_a_product_carries_parts_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tmp_path / "home"))
    carried, shelved = tmp_path / "mine" / "lm" / "text", tmp_path / "home" / "lm" / "text"
    for folder in (carried, shelved):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    assets.write_lock(shelved, ["file"])
    assert assets.resolve("lm", "text") == shelved
    assert (
        assets.resolve("lm", "text", near=tmp_path / "mine") == carried
    )  # without a lock: it has one
    assert assets.resolve("lm", "text", near=tmp_path / "other") == shelved
    assets.write_lock(carried, ["file"])
    (carried / "file").write_text("y")
    with pytest.raises(AssetError, match="the file was changed"):
        assets.resolve("lm", "text", near=tmp_path / "mine")
    with pytest.raises(UsageError):
        assets.resolve("lm", "..", near=tmp_path / "mine")
