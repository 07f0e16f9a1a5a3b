"""``models``: the list bears what it finds, and a terminal is shown nothing that it would obey."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ensemble_htr.assets import write_lock

Here = Callable[..., tuple[int, str, str]]
CARD = "# Tiny\n\nA tiny one. It is for tests.\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tmp_path))
    return tmp_path


def _product(folder: Path, card: str | bytes = CARD, **facts: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "w.bin").write_bytes(b"abc")
    (folder / "card.md").write_bytes(card if isinstance(card, bytes) else card.encode())
    write_lock(folder, ["w.bin"], facts=facts)
    return folder


def test_models_list(home: Path, here: Here) -> None:
    folder = _product(home / "models" / "tiny", parameters=1_250_000)
    code, table, _ = here("models", "list")
    assert code == 0
    (row,) = (line for line in table.splitlines() if line.startswith("tiny "))
    assert row.split() == "tiny models 1.25 M 0.0 MB ok A tiny one.".split()
    assert "letter" in table

    (folder / "w.bin").write_bytes(b"abd")
    code, out, err = here("models", "list", "--json")
    assert code == 1
    rows = {row["name"]: row for row in map(json.loads, out.splitlines())}
    assert rows["tiny"]["ok"] is False and rows["letter"]["ok"] is True
    assert "expected sha256" in err


def test_one_odd_product_is_one_row(home: Path, here: Here) -> None:
    shelf = home / "models"
    _product(shelf / "latin", b"# Caf\xe9\n\nUn caf\xe9.\n")
    _product(shelf / "caf\udce9", parameters=10**400)
    _product(shelf / "bright", "# B\n\n\x1b[31mRed\x07.\n")
    odd = [_product(shelf / f"odd{i}") / "lock.json" for i in range(4)]
    odd[0].write_text(odd[0].read_text().replace('"bytes": 3', '"bytes": Infinity'))
    odd[1].write_text(odd[1].read_text().replace("w.bin", "w\\u0000.bin"))
    odd[2].unlink()
    odd[2].symlink_to("x" * 300)  # a name that no file can have
    (odd[3].parent / "w.bin").unlink()
    os.mkfifo(odd[3].parent / "w.bin")
    code, out, err = here("models", "list")
    assert code == 1 and "Traceback" not in err and "unexpected" not in err
    states = {line.split()[0]: "BROKEN" in line for line in out.splitlines()}
    assert [states[f"odd{i}"] for i in range(4)] == [True] * 4
    assert not states["latin"] and not states["caf\\udce9"] and not states["letter"]
    assert "\\x1b[31mRed\\x07." in out and "\x1b" not in out + err
    assert err.count("\n") == 5  # a line for each, and the last
    code, out, _ = here("models", "list", "--json")
    rows = {row["name"]: row for row in map(json.loads, out.splitlines())}
    assert rows["latin"]["card"] == "Un caf\ufffd." and "caf\udce9" in rows


def test_a_shown_card_commands_nothing(home: Path, here: Here) -> None:
    card = "# T\n\n    two  columns \x1b]0;title\x07\n\tthree\u202f%\x9b2J\n"
    folder = _product(home / "models" / "loud", card, note="\x1b[2J", deep=0)
    lock = (folder / "lock.json").read_text()
    (folder / "lock.json").write_text(lock.replace('"deep": 0', f'"deep": {"[" * 700}{"]" * 700}'))
    code, out, err = here("models", "show", "loud")
    assert code == 0 and err == ""
    assert out.startswith("# T\n\n    two  columns \\x1b]0;title\\x07\n        three %\\x9b2J\n\n")
    assert "\nnote: \\x1b[2J\n" in out and out.replace("\n", "").isprintable()
    code, out, _ = here("models", "show", "loud", "--json")
    assert code == 0 and json.loads(out)["facts"]["note"] == "\x1b[2J"
    (folder / "card.md").write_bytes(b"#" * (4 << 20) + b"\n")
    code, _, err = here("models", "show", "loud")
    assert code == 1 and "card.md: cannot be read: it is larger than 4 MiB" in err


def test_one_name_of_several_kinds(
    home: Path, here: Here, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folders = [_product(home / kind / "mine", f"# {kind}\n") for kind in ("lm", "packs")]
    code, out, _ = here("models", "show", "mine")
    assert code == 0 and out.startswith("# lm\n\nlm: ")
    assert f"w.bin\n\n# packs\n\npacks: {folders[1]} (" in out
    code, out, _ = here("models", "show", "mine", "--json")
    assert [json.loads(line)["kind"] for line in out.splitlines()] == ["lm", "packs"]
    code, out, _ = here("models", "show", "packs/mine")
    assert code == 0 and out.startswith("# packs\n") and "# lm" not in out
    assert here("models", "show", str(folders[0]))[1].startswith("# lm\n\nfolder: ")

    monkeypatch.chdir(tmp_path / "lm")
    assert here("models", "show", "./mine")[0] == 0
    assert here("models", "show", "lm/mine")[1].startswith("# lm\n")
    code, _, err = here("models", "show", "packs/mien")
    assert code == 2 and "no language pack called 'mien'; did you mean 'mine'?" in err
    (tmp_path / "lm" / "here").mkdir()
    code, _, err = here("models", "show", "here")
    assert code == 2 and "no product called 'here'" in err
    assert err.endswith("; for the one in this directory write ./here\n")
