"""The machine, the products and the places: read from files, nothing is loaded."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

from ensemble_htr import assets
from ensemble_htr.doctor.finding import Finding, State
from ensemble_htr.doctor.libraries import WITHOUT_KENLM
from ensemble_htr.errors import EnsembleError
from ensemble_htr.files import read_small

__all__ = ["NATIVE_BF16", "cpu_flags", "machine", "places", "products"]

_WORKER = 0.5e9  # bytes of memory that a process with our recognizers takes
_ROOM = 200e6  # bytes on the disk below which a warning is due
NATIVE_BF16 = ("avx512_bf16", "amx_bf16")
_SHOWN_FLAGS = ("avx2", "avx512f", *NATIVE_BF16)
_DATA = ("ENSEMBLE_HTR_DATA", "../shared/data")


def machine() -> Iterator[Finding]:
    """CPU, cores and memory that we may use."""
    group, flags = "machine", cpu_flags()
    shown = [flag for flag in _SHOWN_FLAGS if flag in flags] or ["none of those that matter"]
    model = _field(Path("/proc/cpuinfo"), "model name") or platform.processor() or "unknown"
    has = ", ".join(shown) if flags else "features unknown"
    if flags and "avx2" not in flags and platform.machine() in ("x86_64", "AMD64"):
        advice = "without avx2 reading is slow; another machine reads faster"
        yield Finding(group, "CPU", f"{model}: {has}", "note", advice)
    else:
        yield Finding(group, "CPU", f"{model}: {has}")
    cores, quota = _cores(), _quota()
    value = f"{cores} to use of {os.cpu_count()}"
    if quota is not None and quota < cores:
        jobs = max(1, int(quota))
        value += f", a container's share of {quota:g}"
        yield Finding(group, "cores", value, "note", f"--jobs {jobs}: more would wait in turn")
    else:
        yield Finding(group, "cores", value)
    if memory := _memory():
        yield memory


def cpu_flags() -> set[str]:
    """The CPU's features as Linux names them; empty elsewhere."""
    return set((_field(Path("/proc/cpuinfo"), "flags") or "").split())


def _field(path: Path, name: str) -> str:
    """The first ``name : value`` of a file under /proc; "" where there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            pairs = (line.partition(":") for line in lines)
            return next((value.strip() for key, _, value in pairs if key.strip() == name), "")
    except OSError:
        return ""


def _cores() -> int:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return usable or 1


def _quota() -> float | None:
    """The cores that a control group grants (``cpu.max`` of cgroup v2), None without a limit."""
    try:
        share, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return int(share) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _memory() -> Finding | None:
    sizes = [_field(Path("/proc/meminfo"), name) for name in ("MemAvailable", "MemTotal")]
    if not all(size.endswith("kB") for size in sizes):
        return None
    free, total = (int(size.split()[0]) * 1024 for size in sizes)
    try:
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        pass
    free = min(free, total)
    value = f"{free / 1e9:.1f} GB free of {total / 1e9:.1f} GB"
    jobs = min(8, _cores())
    if free >= jobs * _WORKER:
        return Finding("machine", "memory", value)
    fewer = max(1, int(free / _WORKER))
    advice = f"{jobs} processes want {jobs * _WORKER / 1e9:g} GB: read with --jobs {fewer}"
    return Finding("machine", "memory", value, "note", advice)


def products() -> Iterator[Finding]:
    """Every product on the shelves compared with its lock, and what the shipped ensemble lacks."""
    whole: set[str] = set()
    for kind in get_args(assets.Kind):
        for name, folder in assets.available(kind).items():
            try:
                size = assets.verify(folder).bytes
            except EnsembleError as error:
                value, advice = _halves(str(error))
                yield Finding("products", f"{kind}/{name}", value, "broken", advice)
                continue
            whole.add(f"{kind}/{name}")
            told = f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
            yield Finding("products", f"{kind}/{name}", f"{told}, as its lock says; {folder}")
    if lacking := [name for name in _ensemble() if name not in whole]:
        value = f"lacks {', '.join(lacking)}"
        advice = "install ensemble-htr again, or fetch these from where it came"
        yield Finding("products", "shipped ensemble", value, "broken", advice)


def _halves(message: str) -> tuple[str, str]:
    """What is wrong, and what is to be done: our messages end so after a semicolon."""
    value, _, advice = message.rpartition("; ")
    return (value, advice) if value else (message, "fetch it again")


def _ensemble() -> list[str]:
    """The products that the shipped ensemble is made of."""
    names = ["models/default"]
    if (folder := assets.available("models").get("default")) is not None:
        try:
            table = tomllib.loads(read_small(folder / "model.toml").decode("utf-8"))
            names += [f"models/{name}" for name in table["recognizers"]]
            names += [f"lm/{table['lm']}"] if table.get("lm") else []
        except (OSError, ValueError, KeyError, TypeError):
            return [*names, f"a whole {folder / 'model.toml'}"]
    return names


def places(out: Path | None) -> Iterator[Finding]:
    """The data pack, and the room in the cache and where results go (``out``)."""
    group, (variable, usual) = "places", _DATA
    data = Path(os.environ.get(variable, "") or usual)
    try:
        packs = sorted(place.name for place in data.iterdir() if place.is_dir())
    except OSError:
        packs = []
    if packs:
        yield Finding(group, "data pack", f"{data}: {', '.join(packs)}")
    else:
        advice = f"only training and eval/ want it; set ${variable} or give --data"
        yield Finding(group, "data pack", f"none at {data}", "note", advice)
    advice = f"until then {WITHOUT_KENLM}; set $XDG_CACHE_HOME to a folder that can"
    yield _writable("cache", assets.cache_folder, "note", advice)
    advice = "give -o a folder that you may write to"
    yield _writable(
        "output", lambda: out or Path.cwd(), "note" if out is None else "broken", advice
    )


def _writable(name: str, find: Callable[[], Path], state: State, advice: str) -> Finding:
    """Whether files can be made in the folder, or where it would be made, and the room there."""
    folder: Path | str = ""
    try:
        folder = find()
        place = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"x")
        free = shutil.disk_usage(place).free
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        reason = getattr(error, "strerror", None) or error
        return Finding("places", name, f"{folder} cannot be written: {reason}", state, advice)
    value = f"{folder}, {free / 1e9:.1f} GB free"
    if free < _ROOM:
        return Finding("places", name, value, "note", "make room there: that is very little")
    return Finding("places", name, value)
