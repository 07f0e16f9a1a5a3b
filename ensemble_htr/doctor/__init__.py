"""The doctor: what this machine has, what of it is used, and what is to be done.

Nothing heavy is imported here: the base install is examined as well as the full one.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from ensemble_htr import __version__
from ensemble_htr.doctor.finding import Finding
from ensemble_htr.doctor.libraries import LIBRARIES, Answer, Probes, library_finding
from ensemble_htr.doctor.machine import NATIVE_BF16, cpu_flags, machine, places, products

__all__ = ["Finding", "as_json", "as_text", "broken", "examine"]

_PYTHONS = ((3, 11), (3, 13))  # tested


def examine(out: Path | None = None, wait: float = 1.0) -> list[Finding]:
    """Look at everything; libraries have ``wait`` seconds to load. ``out`` is where results are to
    go (None = the current folder, which then need not be writable).

    Never raises for what it finds.
    """
    probes = Probes([lib.module for lib in LIBRARIES if lib.module], time.monotonic() + wait)
    rest = [*machine(), *products(), *places(out)]
    answers = probes.answers()
    libraries = [library_finding(library, answers) for library in LIBRARIES]
    found = {finding.name: finding for finding in libraries}
    first = [_ours(), _python(), *libraries, *_late(answers, wait)]
    return [*first, *_backends(found, answers), *rest]


def broken(findings: Sequence[Finding]) -> list[Finding]:
    """Those that keep something needed from working."""
    return [finding for finding in findings if finding.state == "broken"]


def as_json(findings: Sequence[Finding]) -> str:
    """``{"schema": 1, "ok", "findings": [{"group", "name", "value", "state", "advice"}]}``."""
    rows = [asdict(finding) for finding in findings]
    table = {"schema": 1, "ok": not broken(findings), "findings": rows}
    return json.dumps(table, indent=2, ensure_ascii=False)


def as_text(findings: Sequence[Finding]) -> str:
    """A table for people: state, name, value, and below it what is to be done."""
    width = max((len(finding.name) for finding in findings), default=0)
    lines: list[str] = []
    group = ""
    for finding in findings:
        if finding.group != group:
            group = finding.group
            lines += ["", group] if lines else [group]
        state = {"ok": "", "note": "note", "broken": "BROKEN"}[finding.state]
        lines.append(f"  {state:6}  {finding.name:{width}}  {finding.value}".rstrip())
        if finding.advice:
            lines.append(f"  {'':6}  {'':{width}}  -> {finding.advice}")
    return "\n".join(lines)


def _ours() -> Finding:
    return Finding("versions", "ensemble-htr", f"{__version__}, {Path(__file__).parents[1]}")


def _python() -> Finding:
    value = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    low, high = (".".join(map(str, version)) for version in _PYTHONS)
    if _PYTHONS[0] <= sys.version_info[:2] <= _PYTHONS[1]:
        return Finding("versions", "Python", value)
    return Finding("versions", "Python", value, "note", f"tested are {low} to {high}")


def _late(answers: Mapping[str, Answer], wait: float) -> Iterator[Finding]:
    if late := [name.partition(".")[0] for name, said in answers.items() if said.state == "slow"]:
        value = f"not seen within {wait:g} s: {', '.join(late)}"
        advice = "the machine is busy or this was the first time; --wait 60 sees them load"
        yield Finding("versions", "loading", value, "note", advice)


def _backends(found: Mapping[str, Finding], answers: Mapping[str, Answer]) -> Iterator[Finding]:
    group = "backends"
    torch = answers.get("torch", Answer("missing"))
    reading = {
        "ok": f"CUDA ({torch.detail})" if torch.detail else "CPU",
        "slow": "not known, torch was still loading",
        "missing": "off without torch; combine and evaluate need none",
        "fails": "off, torch does not load; combine and evaluate need none",
    }
    yield Finding(group, "reading", reading[torch.state])
    native = [flag for flag in NATIVE_BF16 if flag in cpu_flags()]
    if torch.state in ("ok", "slow"):
        where = torch.detail or ", ".join(native)
        bf16 = f"used ({where})" if where else "not used, this CPU has none: fp32 instead"
        yield Finding(group, "bf16", bf16)
    whole = found["kenlm"].state == "ok"
    read = "kenlm up to order 6, our reader above" if whole else "our ARPA reader"
    if found["numba"].state == "ok":
        read += "; our reader's tables where a beam is compiled"
    yield Finding(group, "language model", read)
