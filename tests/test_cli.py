"""The root of the command line: lazy commands, one error boundary, the shelves' list."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from ensemble_htr import __version__
from ensemble_htr.assets import resolve
from ensemble_htr.cli import main as root
from ensemble_htr.errors import AssetError, UsageError

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        root.main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """The exit status of a run in which a command raises ``error``."""

    @click.command()
    def command() -> None:
        raise error

    monkeypatch.setattr(root.LazyGroup, "get_command", lambda *_: command)
    return run("demo")


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in root.COMMANDS)


@pytest.mark.parametrize("name", root.COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    assert "Usage: ensemble-htr" in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.strip() == f"ensemble-htr, version {__version__}"


@pytest.mark.parametrize("arguments", [(), ("models",)])
def test_no_arguments_show_the_help(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) in (0, 2)  # click 8.1 counts it as asking, 8.2 as wrong usage
    shown = capsys.readouterr()
    assert "Commands:\n" in shown.out + shown.err and "error" not in shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("combin",), "no command 'combin'; did you mean 'combine'?"),
        (("--nonsense",), "No such option"),
        (("models", "list", "--nonsense"), "No such option"),
        (("models", "list", "superfluous"), "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1
    assert shown.err.startswith("ensemble-htr: error: ")
    assert message.lower() in shown.err.lower()


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (AssetError("m: expected 7\nfound 6"), 1, "ensemble-htr: error: m: expected 7 found 6\n"),
        (UsageError("no such thing"), 2, "ensemble-htr: error: no such thing\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (KeyboardInterrupt("all is kept, go on with --resume"), 130, "interrupted; all is kept"),
        (BrokenPipeError(), 0, ""),
        (ZeroDivisionError("ha"), 1, "unexpected ZeroDivisionError: ha; run with ENSEMBLE_HTR_D"),
        (click.ClickException("odd"), 1, "ensemble-htr: error: odd\n"),
        (click.exceptions.Exit(3), 3, ""),
    ],
)
def test_the_error_boundary(
    error: BaseException,
    status: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv(root.DEBUG_VARIABLE, raising=False)
    monkeypatch.setattr(os, "dup2", lambda *_: 0)  # the test's own stdout stays open
    assert failing(monkeypatch, error) == status
    shown = capfd.readouterr()
    assert message in shown.err and "Traceback" not in shown.err
    assert shown.out == "" and shown.err.count("\n") <= 1


@pytest.mark.parametrize(
    ("words", "place", "told"),
    [
        ("transcribe p -o out", "batch.transcribe", f"; {root.KEPT}"),
        ("transcribe p -o - --format txt", "batch.transcribe", ""),
        ("combine --engine a=p -o out", "batch.combine", f"; {root.KEPT}"),
        ("combine --engine a=p -o -", "batch.combine", ""),
        ("finetune p -o begun", "train.finetune.finetune", "; the same command goes on"),
        ("finetune p -o new", "train.finetune.finetune", ""),
        ("fit p --engine a=p -o f.json", "batch.load_engines", ""),
        ("pack build bb --texts p", "packs.build_pack", ""),
    ],
)
def test_an_interruption_says_what_is_kept(
    words: str,
    place: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    if words.startswith("finetune"):
        pytest.importorskip("torch")
    (tmp_path / "begun" / ".finetune").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f"ensemble_htr.{place}", stopped)
    assert run(*words.split()) == 130
    assert capfd.readouterr().err == f"interrupted{told}\n"


@pytest.mark.parametrize("missing", [("torch", "PyTorch"), ("cv2", "OpenCV")])
@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("train", "recipe.toml"), "train"),
        (("finetune", "lines", "-o", "mine"), "recognize"),
        (("models", "export", "default", "-o", "light"), "train"),
    ],
)
def test_a_library_that_is_missing_is_named(
    arguments: tuple[str, ...], extra: str, missing: tuple[str, str], tmp_path: Path
) -> None:
    _lacking(*missing, arguments, extra, tmp_path)


def test_a_preview_needs_a_library(tmp_path: Path) -> None:
    page = resolve("sample", "letter", check=False) / "page.xml"
    _lacking("cv2", "OpenCV", ("preview", str(page)), "recognize", tmp_path)


def _lacking(
    module: str, library: str, arguments: tuple[str, ...], extra: str, tmp_path: Path
) -> None:
    """In a process of its own, where nothing is imported yet."""
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        f"from ensemble_htr.cli.main import main; main({arguments!r})"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    advice = f"needs {library}, which is not installed: run pip install 'ensemble-htr[{extra}]'\n"
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.endswith(advice) and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_traceback_on_demand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(root.DEBUG_VARIABLE, "1")
    assert failing(monkeypatch, ZeroDivisionError("ha")) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m ensemble_htr models list --json | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0 and done.stderr == b""
