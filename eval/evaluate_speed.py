"""How fast evaluation is, beside edlib, jiwer and dinglehopper.

    python eval/evaluate_speed.py TEXT [--lines 100000] [--peers PYTHON]

TEXT (plain or .xz) gives a text of a million characters, whose noisy copy is compared with it, and
the lines of a corpus. PYTHON has jiwer, dinglehopper and edlib. Times are of one process; peers get
only the two lists of texts, we read files and write the whole report. Writes `evaluate_speed.md`.
"""

from __future__ import annotations

import json
import lzma
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

HERE = Path(__file__).parent
LETTERS = "etaoinsrlu é'"

CHILD = """
import json, sys, time
tool, pairs = sys.argv[1], json.load(sys.stdin)
if tool == "edlib":
    from edlib import align
    work = lambda: sum(align(*p)["editDistance"] for p in pairs)
elif tool == "jiwer":
    import jiwer
    def work():
        one, two = [p[0] for p in pairs], [p[1] for p in pairs]
        jiwer.process_words(one, two)
        found = jiwer.process_characters(one, two)
        return found.substitutions + found.insertions + found.deletions
elif tool == "dinglehopper":
    from dinglehopper.character_error_rate import character_error_rate_n
    work = lambda: sum(round(r * n) for r, n in (character_error_rate_n(*p) for p in pairs))
else:
    from ensemble_htr.metrics import edit_distance
    work = lambda: sum(edit_distance(*p) for p in pairs)
start = time.process_time()
print(json.dumps([work(), time.process_time() - start]))
"""


def noisy(text: str, rate: float, seed: int) -> str:
    rng = random.Random(seed)
    draw = rng.random
    return "".join(
        c if draw() >= rate else rng.choice(("", rng.choice(LETTERS), c + rng.choice(LETTERS)))
        for c in text
    )


def timed(python: str, tool: str, pairs: list[tuple[str, str]], limit: int) -> str:
    try:
        found = subprocess.run(
            [python, "-c", CHILD, tool], input=json.dumps(pairs), capture_output=True,
            text=True, timeout=limit, check=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"over {limit} s"
    edits, seconds = json.loads(found.stdout)
    return f"{seconds:.1f} s ({edits:,} edits)"


def corpus(text: str, lines: int) -> Iterator[tuple[str, str]]:
    """Lines of a few words, in documents of 2,000 and pages of 40."""
    words = text.split()
    rng = random.Random(5)
    place = 0
    for _ in range(lines):
        size = rng.randint(3, 10)
        line = " ".join(words[place : place + size])
        place = (place + size) % (len(words) - 20)
        yield line, noisy(line, 0.1, rng.randrange(1 << 30))


def whole_report(pairs: list[tuple[str, str]], confidences: bool) -> str:
    """Wall and processor time, memory of `evaluate` with JSON, TSV and HTML."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("truth.jsonl", "system.jsonl")]
        for side, path in enumerate(paths):
            with open(path, "w", encoding="utf-8") as stream:
                for number, pair in enumerate(pairs):
                    row: dict[str, object] = {
                        "id": str(number), "page": f"p{number // 40}",
                        "doc": f"d{number // 2000}", "text": pair[side],
                    }  # fmt: skip
                    if side and confidences:
                        row["confidences"] = [0.9] * len(pair[side])
                        row["confidence"] = 0.5
                    stream.write(json.dumps(row) + "\n")
        outs = ["--json", f"{folder}/r.json", "--tsv", f"{folder}/r.tsv"]
        command = [sys.executable, "-m", "ensemble_htr", "evaluate", *map(str, paths), *outs]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        subprocess.run([*command, "--report", f"{folder}/r.html"], check=True, capture_output=True)
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{used:.1f} s ({wall:.0f} s by the clock), at most {after.ru_maxrss >> 10} MB"


@click.command()
@click.argument("text", type=click.Path(path_type=Path))
@click.option("--lines", default=100_000, show_default=True)
@click.option("--peers", help="Python with jiwer, dinglehopper and edlib.")
@click.option("--limit", default=200, show_default=True, help="Seconds for a peer.")
def main(text: Path, lines: int, peers: str | None, limit: int) -> None:
    """Measure, print and write the table."""
    opened = lzma.open(text, "rt") if text.suffix == ".xz" else open(text, encoding="utf-8")
    with opened as stream:
        million = stream.read(1_000_000)
    pair = [(million, noisy(million, 0.09, 0))]
    pairs = list(corpus(million, lines))
    # memory of the children is the largest of all so far: the reports come first
    report = whole_report(pairs, False)
    sure = whole_report(pairs, True)
    rows = ["| what | one text of a million characters | lines |", "|---|---|---|"]
    long, many = (timed(sys.executable, "ours", p, limit) for p in (pair, pairs))
    rows.append(f"| `metrics.edit_distance` | {long} | {many} |")
    for tool in ("edlib", "jiwer", "dinglehopper") if peers else ():
        long, many = (timed(peers or "", tool, p, limit) for p in (pair, pairs))
        rows.append(f"| {tool} | {long} | {many} |")
        click.echo(rows[-1])
    out = f"""# How fast evaluation is

`python eval/evaluate_speed.py TEXT --lines {lines} --peers PYTHON`. Processor time of one process.
jiwer counts words and characters, edlib and dinglehopper characters; distances of all are exact.

{chr(10).join(rows)}

`ensemble-htr evaluate` with table, JSON, TSV and HTML report, {lines:,} lines of
{sum(len(p[0]) for p in pairs) // lines} characters: {report}; with a confidence for every
character: {sure}.
"""
    (HERE / "evaluate_speed.md").write_text(out, encoding="utf-8")
    click.echo(out)


if __name__ == "__main__":
    main()
