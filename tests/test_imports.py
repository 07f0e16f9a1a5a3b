"""The layers hold, and nothing heavy is loaded before it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "cv2", "numpy", "scipy", "sklearn", "lxml", "PIL", "kenlm", "matplotlib")


def _run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_layers_hold() -> None:
    pytest.importorskip("importlinter", reason="import-linter comes with the extra [dev]")
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("arguments", ["--help", "--version"])
def test_the_help_loads_nothing_heavy(arguments: str) -> None:
    loaded = _run(
        "import sys\n"
        "from ensemble_htr.cli.main import cli\n"
        f"cli.main([{arguments!r}], standalone_mode=False)\n"
        f"print('LOADED', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert loaded.rstrip().endswith("LOADED []")


@pytest.mark.parametrize(
    "module",
    [
        "ensemble_htr.align",
        "ensemble_htr.combine",
        "ensemble_htr.decode",
        "ensemble_htr.evaluate",
        "ensemble_htr.io",
        "ensemble_htr.layout",
        "ensemble_htr.lm",
        "ensemble_htr.metrics",
        "ensemble_htr.report",
    ],
)
def test_a_post_processor_never_loads_torch(module: str) -> None:
    assert _run(f"import sys, {module}; print('torch' in sys.modules)").strip() == "False"
