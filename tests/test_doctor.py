"""``ensemble-htr doctor``: what it says of a whole machine, and of many a broken one."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ensemble_htr import doctor
from ensemble_htr.assets import write_lock
from ensemble_htr.doctor.finding import Finding
from ensemble_htr.doctor.libraries import LIBRARIES, Answer, Probes, library_finding
from ensemble_htr.doctor.machine import NATIVE_BF16, cpu_flags, places, products

Run = Callable[..., tuple[int, str, str]]


def probed(*modules: str, wait: float = 30.0) -> dict[str, Answer]:
    return Probes(modules, time.monotonic() + wait).answers()


def test_a_table_and_json_say_the_same(here: Run, tmp_path: Path) -> None:
    code, shown, talk = here("doctor", "--wait", 0, "-o", tmp_path)
    assert code == 0, talk
    table = shown.splitlines()
    heads = [line for line in table if line and not line.startswith(" ")]
    assert heads == ["versions", "backends", "machine", "products", "places"]
    names = {line[10:].split("  ")[0].strip() for line in table if line.startswith("  ")}
    wanted = {"Python", "NumPy", "torch", "OpenCV", "kenlm", "CPU", "models/default", "output"}
    assert wanted <= names
    code, shown, _ = here("doctor", "--wait", 0, "--json", "-o", tmp_path)
    found = json.loads(shown)
    assert code == 0 and found["schema"] == 1 and found["ok"] is True
    assert {row["name"] for row in found["findings"]} <= names
    assert all(bool(row["advice"]) == (row["state"] != "ok") for row in found["findings"])


def test_it_is_quick_whatever_libraries_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("import time; time.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    begun = time.monotonic()
    findings = {f.name: f for f in doctor.examine(tmp_path, 0.3)}
    assert time.monotonic() - begun < 5.0  # a busy machine; at rest 0.5
    assert "torch" in findings["loading"].value and "--wait" in findings["loading"].advice


@pytest.mark.parametrize(
    ("source", "state", "detail"),
    [
        ("raise ImportError('libc10.so: no such file')", "fails", "libc10.so"),
        ("raise ModuleNotFoundError('No module', name='torch')", "missing", ""),
        ("import no_such_dependency", "fails", "no_such_dependency"),
        ("import os; os.abort()", "fails", "Aborted"),
        ("import os; os._exit(3)", "fails", "exit status 3"),
        ("raise SystemExit(0)", "fails", "SystemExit"),
        ("print('[1, 2]'); print(chr(30) + '{]')", "fails", "AttributeError"),
    ],
)
def test_a_damaged_torch_is_a_finding(
    source: str, state: str, detail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text(source + "\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    answers = probed("torch")
    assert answers["torch"].state == state and detail in answers["torch"].detail
    (library,) = (lib for lib in LIBRARIES if lib.name == "torch")
    finding = library_finding(library, answers)
    assert finding.state == ("note" if state == "missing" else "broken")
    assert "pip install" in finding.advice


def test_a_crash_costs_one_library_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.py").write_text("import os; os.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = probed("json", "bad", "csv")
    assert {name: said.state for name, said in found.items()} == {
        "json": "ok", "bad": "fails", "csv": "ok",
    }  # fmt: skip


def test_nothing_is_imported_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kenlm.py").write_text("raise RuntimeError('mine')\n")
    monkeypatch.chdir(tmp_path)
    assert probed("kenlm")["kenlm"].state in ("ok", "missing")


def test_without_kenlm_our_reader_takes_over() -> None:
    (library,) = (lib for lib in LIBRARIES if lib.name == "kenlm")
    for state in ("missing", "fails"):
        finding = library_finding(library, {"kenlm": Answer(state)})  # type: ignore[arg-type]
        assert finding.state == "note" and "ARPA reader takes over" in finding.advice


def test_a_damaged_product_is_broken(
    here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models" / "default"
    folder.mkdir(parents=True)
    (folder / "model.toml").write_text('recognizers = ["crnn"]\n')
    write_lock(folder, ["model.toml"])
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tmp_path))
    assert not [f for f in products() if f.state == "broken"]
    (folder / "model.toml").write_text('recognizers = ["grnn"]\n')
    states = {f.name: f.state for f in products()}
    assert states["models/default"] == states["shipped ensemble"] == "broken"
    code, shown, talk = here("doctor", "--wait", 0)
    assert code == 1 and "BROKEN  models/default" in shown
    assert talk.count("\n") == 1 and "models/default" in talk
    assert json.loads(here("doctor", "--wait", 0, "--json")[1])["ok"] is False
    write_lock(folder, ["model.toml"])
    (lacking,) = (f for f in products() if f.state == "broken")
    assert lacking.value == "lacks models/grnn"


def test_places(here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("")
    code, shown, _ = here("doctor", "--wait", 0, "-o", file)
    assert code == 1 and "BROKEN  output" in shown
    assert not list(places(tmp_path / "not" / "yet"))[-1].advice
    assert [p.name for p in tmp_path.iterdir()] == ["file"]  # it leaves nothing behind
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    monkeypatch.setenv("ENSEMBLE_HTR_DATA", str(tmp_path))
    data, cache, _ = places(tmp_path)
    assert data.state == cache.state == "note" and "ARPA reader" in cache.advice
    (tmp_path / "fr19").mkdir()
    assert next(places(tmp_path)).value.endswith(": fr19")


def test_it_means_the_bf16_that_the_recognizers_mean() -> None:
    pytest.importorskip("cv2")
    from ensemble_htr.recognizers.inputs import has_fast_bf16

    assert bool(cpu_flags() & set(NATIVE_BF16)) == has_fast_bf16()


def test_a_finding_has_advice_where_it_is_due() -> None:
    with pytest.raises(ValueError, match="advice"):
        Finding("a", "b", "c", "note")
    with pytest.raises(ValueError, match="advice"):
        Finding("a", "b", "c", advice="d")


def test_the_doctor_imports_nothing_heavy() -> None:
    import subprocess

    code = (
        "import sys; from ensemble_htr import doctor; doctor.examine(None, 0)\n"
        "print([m for m in ('numpy', 'torch', 'cv2', 'lxml', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr
