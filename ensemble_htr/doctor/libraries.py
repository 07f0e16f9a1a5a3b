"""Libraries: which are installed, and whether they load.

They are loaded in processes of their own, side by side and with a limit of time, so that one that
crashes or hangs is a finding like any other.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from ensemble_htr.doctor.finding import Finding, State

__all__ = ["LIBRARIES", "WITHOUT_KENLM", "Answer", "Library", "Probes", "library_finding"]

# Both measured with the shipped model and 1,000 lines of letters (150,000 queries, one core).
WITHOUT_KENLM = (
    "our ARPA reader takes over: the same numbers; it parses a model once, in some seconds, and "
    "keeps its tables in the cache (eval/lm_speed.py)"
)


@dataclass(frozen=True, slots=True)
class Library:
    """One library: where it comes from and what it is for."""

    name: str
    distributions: tuple[str, ...]  # on the package index, the one we ask for first
    module: str = ""  # loaded to see that it works; "" = all Python, not tried
    extra: str = ""  # of ours that brings it; "" = needed by all
    purpose: str = ""


LIBRARIES = (
    Library("NumPy", ("numpy",), "numpy"),
    Library("lxml", ("lxml",), "lxml.etree"),
    Library("rapidfuzz", ("rapidfuzz",), "rapidfuzz.distance"),
    Library("Pillow", ("pillow",), "PIL.Image"),
    Library("click", ("click",)),
    Library("tqdm", ("tqdm",)),
    Library("Jinja2", ("jinja2",)),
    Library("scikit-learn", ("scikit-learn",), "sklearn"),
    Library("torch", ("torch",), "torch", "recognize", "reading images"),
    Library(
        "OpenCV",
        ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless",
         "opencv-contrib-python"),
        "cv2", "recognize", "reading images",
    ),
    Library("safetensors", ("safetensors",), "safetensors", "recognize", "reading images"),
    Library("numba", ("numba",), "numba", "recognize", "a faster beam search"),
    Library("ONNX Runtime", ("onnxruntime",), "onnxruntime", "onnx",
            "reading with exported networks, without torch"),
    Library("onnx", ("onnx",), "", "train", "exporting networks"),
    Library("kenlm", ("kenlm",), "kenlm", "kenlm"),
    Library("pypdfium2", ("pypdfium2",), "pypdfium2", "pdf", "reading PDF files"),
    Library("reportlab", ("reportlab",), "", "pdf", "writing searchable PDF"),
    Library("fonttools", ("fonttools",), "", "pdf", "writing searchable PDF"),
    Library("openpyxl", ("openpyxl",), "", "xlsx", "writing workbooks"),
    Library("matplotlib", ("matplotlib",), "", "train", "the plot of a training"),
    Library("pyctcdecode", ("pyctcdecode",), "", "pyctcdecode",
            "a second beam search (in an environment with NumPy below 2)"),
)  # fmt: skip

# One row for each name, at once: after a crash the first without a row is the culprit.
_PROBE = """
import importlib, json, sys
def say(*what): print("\\x1e" + json.dumps(what), flush=True)
for name in sys.argv[1:]:
    try:
        module = importlib.import_module(name)
        cuda = name == "torch" and module.cuda.is_available()
        say(name, "ok", module.cuda.get_device_name(0) if cuda else "")
    except ModuleNotFoundError as error:
        missing = error.name == name.partition(".")[0]
        say(name, "missing" if missing else "fails", str(error))
    except BaseException as error:
        say(name, "fails", f"{type(error).__name__}: {error}")
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of loading a module; ``detail`` is the error, or of torch the CUDA device."""

    state: Literal["ok", "missing", "fails", "slow"]
    detail: str = ""


class Probes:
    """Two processes that load libraries: torch takes as long as all others together."""

    def __init__(self, modules: Sequence[str], until: float) -> None:
        self._until = until
        rest = [name for name in modules if name not in ("torch", "sklearn")]
        last = [name for name in modules if name == "sklearn"]
        slow = [name for name in modules if name == "torch"]
        self._running = [(names, _probe(names)) for names in (slow, [*rest, *last]) if names]

    def answers(self) -> dict[str, Answer]:
        """What became of each module; waits until the time is over."""
        found: dict[str, Answer] = {}
        while self._running:
            names, process = self._running.pop()
            said, over = _said(process, self._until)
            found |= said
            if not (unsaid := [name for name in names if name not in found]):
                continue
            if over:
                found |= dict.fromkeys(unsaid, Answer("slow"))
                continue
            code = process.returncode
            how = signal.strsignal(-code) if code < 0 else f"exit status {code}"
            found[unsaid[0]] = Answer("fails", f"loading it ends the process: {how}")
            if unsaid[1:]:
                self._running.append((unsaid[1:], _probe(unsaid[1:])))
        return found


def _probe(names: Sequence[str]) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-P", "-c", _PROBE, *names]  # -P: nothing from the current folder
    quiet = subprocess.DEVNULL
    return subprocess.Popen(words, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet)


def _said(process: subprocess.Popen[bytes], until: float) -> tuple[dict[str, Answer], bool]:
    """What a probe said, and whether it was stopped because its time was over."""
    over = False
    try:
        output, _ = process.communicate(timeout=max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        over = True
    found = {}
    for line in output.decode("utf-8", "replace").split("\n"):
        row = line.partition("\x1e")[2]
        try:
            name, state, detail = json.loads(row)
            found[name] = Answer(state, " ".join(detail.split()))
        except (ValueError, TypeError, AttributeError):
            continue  # what libraries print themselves
    return found, over


def library_finding(library: Library, answers: Mapping[str, Answer]) -> Finding:
    """The row of one library; a module without an answer counts as loading if it is installed."""
    installed = {name: v for name in library.distributions if (v := _version(name))}
    answer = answers.get(library.module) or Answer("ok" if installed else "missing")
    name = library.distributions[0]
    version = next(iter(installed.values()), "")
    value = ", ".join(f"{d} {v}" for d, v in installed.items()) if library.name == "OpenCV" else ""
    value = value or version or "installed"
    needed = not library.extra

    def finding(state: State, value: str, advice: str) -> Finding:
        return Finding("versions", library.name, value, state, advice)

    if answer.state == "missing":
        if needed:
            return finding("broken", "missing", f"pip install {name}")
        what = WITHOUT_KENLM if name == "kenlm" else f"wanted for {library.purpose}"
        install = f"pip install 'ensemble-htr[{library.extra}]'"
        return finding("note", "not installed", f"{what}; {install}")
    if answer.state == "fails":
        state: State = "note" if name == "kenlm" else "broken"
        what = f"; until then {WITHOUT_KENLM}" if name == "kenlm" else ""
        advice = f"pip install --force-reinstall {name}{what}"
        return finding(state, f"{value}, does not load ({answer.detail[:200]})", advice)
    if len(installed) > 1:
        spare = " ".join(list(installed)[1:])
        return finding("note", value, f"they overwrite each other's files; pip uninstall {spare}, "
                       f"then pip install --force-reinstall {next(iter(installed))}")  # fmt: skip
    return finding("ok", value, "")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except Exception:  # not there, or its metadata is damaged
        return ""
