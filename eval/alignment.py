"""Alignment and a plain vote, ours beside everybody else's.

    python eval/alignment.py TEXT [--lines 500] [--peers PYTHON] [--rover PATH]

Eight engines are made from TEXT (`noisy.py`, one seed); every system reads the same lines of the
first 3, 5 and 8 of them. The two weights of our vote (the power of confidences, the confidence of
nothing) and of ROVER's (agreement against confidence, the confidence of nothing) are chosen by CER
on other lines of the same making, for each number of engines. Speed is lines per processor second
of alignment and vote together, on one core. PYTHON has pyspoa and crowd-kit; `rover` is NIST's, of
the Debian package sctk. Writes `alignment.md` and `alignment.json`.
"""

from __future__ import annotations

import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import click
from noisy import RATES, Line, read_all
from rapidfuzz.distance import Levenshtein

from ensemble_htr.align import SumOfPairsAligner, compiled, oracle_distance
from ensemble_htr.types import Arc, ConfusionNetwork, Hypothesis, Slot

HERE = Path(__file__).parent
SIZES = (3, 5, 8)
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)  # rover: weight of agreement against confidence
POWERS = (0.0, 1.0, 2.0, 4.0, 8.0)  # ours: of confidences; 0: plain agreement
NOTHING = (0.3, 0.5, 0.7, 0.8, 0.9, 1.0)  # confidence of a gap (ours: times its neighbours')
CHUNK = 100  # lines of one call of rover, which keeps all memory

Readings = list[tuple[str, Sequence[float]]]
Slots = list[list[str]]
System = Callable[[list[Readings]], "Result"]


@dataclass
class Result:
    """What a system made of all lines; ``slots`` where it has them."""

    texts: list[str]
    slots: list[Slots] | None
    seconds: float


@dataclass
class Row:
    """One line of the table; rates in per cent. ``spread``: CER over orders, highest - lowest."""

    engines: int
    system: str
    cer: float
    oracle: float | None
    spread: float
    lines_per_s: float


# ---- ours ------------------------------------------------------------------------------------


def ours(power: float, nothing: float) -> System:
    """The aligned network, and in each slot the token with the highest weighted vote."""

    def read(lines: list[Readings]) -> Result:
        aligner = SumOfPairsAligner()
        rows = [
            [
                Hypothesis(f"e{k}", tuple(text), tuple(math.log(p) for p in sure))
                for k, (text, sure) in enumerate(line)
            ]
            for line in lines
        ]
        texts, slots = [], []
        spent = 0.0
        for hypotheses in rows:
            start = time.process_time()
            network = aligner.align(hypotheses)
            texts.append(vote(network, power, nothing))
            spent += time.process_time() - start
            slots.append([list(slot.tokens) for slot in network.slots])
        return Result(texts, slots, spent)

    return read


def vote(network: ConfusionNetwork, power: float, nothing: float) -> str:
    """In each slot the token with the highest sum of its engines' confidences to the ``power``."""
    written = []
    for slot in network.slots:
        best, token = -1.0, slot.arcs[0].token
        for arc in slot.arcs if len(slot.arcs) > 1 else ():
            factor = (1.0 if arc.token else nothing) ** power
            sure = [v**power for k, v in arc.evidence.items() if k.startswith("vote:")]
            if (score := factor * math.fsum(sure)) > best:
                best, token = score, arc.token
        written.append(token)
    return "".join(written)


# ---- NIST's rover ----------------------------------------------------------------------------


def rover(path: str, method: str, alpha: float, nothing: float) -> System:
    """SCTK's rover on CTM files, a character a word."""

    def read(lines: list[Readings]) -> Result:
        texts: list[str] = []
        slots: list[Slots] = []
        seconds = 0.0
        for start in range(0, len(lines), CHUNK):
            part = lines[start : start + CHUNK]
            with tempfile.TemporaryDirectory() as folder:
                files = [_ctm(Path(folder), part, k) for k in range(len(part[0]))]
                command = [path, *(x for f in files for x in ("-h", str(f), "ctm"))]
                command += ["-o", f"{folder}/out", "-m", method, "-s"]
                command += ["-a", str(alpha), "-c", str(nothing)]
                before = _children()
                subprocess.run(command, check=True, capture_output=True)
                seconds += _children() - before
                found = list(_parsed(Path(folder, "out"), len(part)))
            slots += found
            texts += ["".join(slot[0] for slot in line) for line in found]
        return Result(texts, slots if method == "oracle" else None, seconds)

    return read


def _ctm(folder: Path, lines: Sequence[Readings], engine: int) -> Path:
    path = folder / f"{engine}.ctm"
    with path.open("w") as stream:
        for n, line in enumerate(lines):
            for i, (c, p) in enumerate(zip(*line[engine], strict=True)):
                stream.write(f"L{n:05d} 1 {i / 10:.2f} 0.10 U{ord(c):04x} {p:.4f}\n")
    return path


def _parsed(path: Path, count: int) -> Iterator[Slots]:
    lines: list[Slots] = [[] for _ in range(count)]
    inside = False
    for row in path.read_text().splitlines():
        name, _, _, _, word, *_ = row.split()
        line = lines[int(name[1:])]
        if word.startswith("<"):
            inside = word != "<ALT_END>"
            if word == "<ALT_BEGIN>":
                line.append([])
            continue
        token = chr(int(word[1:], 16)) if word.startswith("U") else ""
        if inside:
            line[-1].append(token)
        else:
            line.append([token])
    yield from lines


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def peer(python: str, name: str) -> System:
    """A system of `synchronisers.py` in an interpreter of its own."""

    def read(lines: list[Readings]) -> Result:
        done = subprocess.run(
            [python, str(HERE / "synchronisers.py"), name],
            input=json.dumps(lines), capture_output=True, text=True, check=True,
        )  # fmt: skip
        return Result(**json.loads(done.stdout))

    return read


# ---- the table -------------------------------------------------------------------------------


def chosen(
    make: Callable[[float, float], System],
    weights: Sequence[float],
    lines: Sequence[Line],
    n: int,
) -> System:
    """The two weights with the lowest CER on ``lines``."""
    found = {
        pair: cer(make(*pair)(first(lines, n)).texts, lines) for pair in product(weights, NOTHING)
    }
    best = min(found, key=lambda pair: (found[pair], pair))
    click.echo(f"  weights {best}: {found[best]:.2f} %", err=True)
    return make(*best)


def first(lines: Sequence[Line], n: int, order: Sequence[int] | None = None) -> list[Readings]:
    return [[line.readings[k] for k in order or range(n)] for line in lines]


def cer(texts: Sequence[str], lines: Sequence[Line]) -> float:
    wrong = sum(Levenshtein.distance(t, x.text) for t, x in zip(texts, lines, strict=True))
    return 100 * wrong / sum(len(x.text) for x in lines)


def oracle(slots: Sequence[Slots], lines: Sequence[Line]) -> float:
    wrong = 0
    for each, line in zip(slots, lines, strict=True):
        arcs = [Slot(tuple(Arc(t) for t in dict.fromkeys(slot))) for slot in each]
        wrong += oracle_distance(ConfusionNetwork(tuple(arcs)), tuple(line.text))
    return 100 * wrong / sum(len(x.text) for x in lines)


def measured(name: str, system: System, nets: System | None, lines: Sequence[Line], n: int) -> Row:
    """One row; the orders are tried on a quarter of the lines."""
    done = system(first(lines, n))
    slots = done.slots if nets is None else nets(first(lines, n)).slots
    some = lines[: max(50, len(lines) // 4)]
    orders = [list(range(n)), list(range(n))[::-1]]
    orders += [random.Random(seed).sample(range(n), n) for seed in (1, 2)]
    rates = [cer(system(first(some, n, order)).texts, some) for order in orders]
    row = Row(
        n, name, cer(done.texts, lines), None if slots is None else oracle(slots, lines),
        max(rates) - min(rates), len(lines) / done.seconds,
    )  # fmt: skip
    click.echo(str(row), err=True)
    return row


def table(rows: Sequence[Row], singles: Sequence[float], head: str) -> str:
    """The Markdown of the results."""
    out = [head, "CER of the engines: " + ", ".join(f"{x:.2f}" for x in singles) + " %.", ""]
    out += ["| engines | system | CER % | oracle CER % | spread over orders | lines/s |"]
    out += ["|---|---|---|---|---|---|"]
    for r in rows:
        best = "" if r.oracle is None else f"{r.oracle:.2f}"
        out.append(
            f"| {r.engines} | {r.system} | {r.cer:.2f} | {best} | {r.spread:.2f} "
            f"| {r.lines_per_s:.0f} |"
        )
    return "\n".join(out) + "\n"


@click.command()
@click.argument("text", type=click.Path(exists=True, path_type=Path))
@click.option("--lines", "count", default=500, show_default=True, help="Lines that are read.")
@click.option("--tune", default=200, show_default=True, help="Further lines for the weights.")
@click.option("--seed", default=20260, show_default=True)
@click.option("--peers", default=sys.executable, help="Interpreter with pyspoa and crowd-kit.")
@click.option("--rover", "binary", default="rover", show_default=True)
@click.option("--out", default=HERE, type=click.Path(path_type=Path))
def main(text: Path, count: int, tune: int, seed: int, peers: str, binary: str, out: Path) -> None:
    """Compare all systems."""
    made = read_all(text, count + tune, seed)
    lines, others = made[:count], made[count:]
    singles = [cer([x.readings[k][0] for x in lines], lines) for k in range(len(RATES))]
    compiled.warm()
    rows = []
    for n in SIZES:
        rows.append(measured("ours", chosen(ours, POWERS, others, n), None, lines, n))
        for method in ("avgconf", "maxconf"):
            voted = chosen(lambda a, c, m=method: rover(binary, m, a, c), ALPHAS, others, n)
            nets = rover(binary, "oracle", 0, 0)
            rows.append(measured(f"SCTK rover, {method}", voted, nets, lines, n))
        for name in ("pyspoa", "crowdkit", "isri", "calamari"):
            rows.append(measured(name, peer(peers, name), None, lines, n))
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True
    ).stdout.strip()
    head = (
        f"# Alignment and a plain vote\n\n`python eval/alignment.py {text.name} --lines {count} "
        f"--tune {tune} --seed {seed}`, {time.strftime('%Y-%m-%d')}, commit {commit}.\n"
    )
    (out / "alignment.md").write_text(table(rows, singles, head), encoding="utf-8")
    facts = {"seed": seed, "lines": count, "singles": singles, "rows": [asdict(r) for r in rows]}
    (out / "alignment.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
