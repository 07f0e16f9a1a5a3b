"""Whether runs stay flat in memory and resume at once, on generated inputs.

    python eval/scale.py [SCENARIO ...] [--share 0.01] [--work DIR]

Scenarios: again (the second run over 1,000 and 3,000 finished pages), combine (100,000 lines of
three engines), lines (20,000 line images), page (combine one page of 100,000 lines), read
(transcribe such a page). All processes of a run are sampled once a second, their resident memory is
added up. Writes eval/scale.json, where a scenario replaces its older figures, and eval/scale.md
from it. Needs Linux's /proc.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).parent))

from run import commit  # noqa: E402

HERE = Path(__file__).parent
WORDS = "le la du de acte jour mois rue vente Paris Marie Louis notaire premier mil huit".split()
PAGE = """<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<Page imageFilename="{stem}.png" imageWidth="{width}" imageHeight="{height}">
<TextRegion id="r"><Coords points="0,0 {width},0 {width},{height} 0,{height}"/>
{lines}</TextRegion></Page></PcGts>
"""
LINE = """<TextLine id="l{i}"><Coords points="{x},{y} {r},{y} {r},{b} {x},{b}"/>{text}</TextLine>
"""
TEXT = "<TextEquiv><Unicode>{}</Unicode></TextEquiv>"
SHARES = (0.1, 0.5, 1.0)
Sample = tuple[float, float, int]  # seconds, share of the work that is done, bytes


# ---- what is made -------------------------------------------------------------------------


def noisy(text: str, dice: random.Random, rate: float = 0.05) -> str:
    return "".join(dice.choice("aeinrst") if dice.random() < rate else c for c in text)


def rows(folder: Path, count: int) -> None:
    """Three engines' JSONL of the same lines, each with errors of its own."""
    dice = random.Random(1)
    files = [open(folder / f"{name}.jsonl", "w", encoding="utf-8") for name in "xyz"]
    for i in range(count):
        text = " ".join(dice.choices(WORDS, k=4))
        for file in files:
            read = noisy(text, dice)
            sure = [round(dice.uniform(0.5, 1.0), 3) for _ in read]
            row = {"id": f"l{i}", "page": f"p{i // 30}", "text": read, "confidences": sure}
            file.write(json.dumps(row) + "\n")
    for file in files:
        file.close()


def word_image(word: str, width: int, height: int) -> Image.Image:
    image = Image.new("L", (width, height), 245)
    font = ImageFont.load_default(size=0.6 * height)
    ImageDraw.Draw(image).text((0.1 * height, 0.1 * height), word, fill=30, font=font)
    return image


def line_images(folder: Path, count: int) -> None:
    folder.mkdir()
    dice = random.Random(2)
    for i in range(count):
        word = dice.choice(WORDS)
        word_image(word, 30 + 14 * len(word), 40).save(folder / f"x{i:06}.png", compress_level=1)


def great_page(folder: Path, count: int, names: Sequence[str]) -> None:
    """One page with ``count`` lines of a word, as PAGE of each engine; an image beside the first.

    The page is a grid of cells of 40 x 16 px, as wide as high."""
    dice = random.Random(3)
    columns = max(1, round((count * 16 / 40) ** 0.5))
    width, height = 40 * columns, 16 * -(-count // columns)
    words = [dice.choice(WORDS)[:4] for _ in range(count)]
    cells = {word: word_image(word, 40, 16) for word in set(words)}
    image = Image.new("L", (width, height), 245)
    boxes = [(40 * (i % columns), 16 * (i // columns)) for i in range(count)]
    for word, box in zip(words, boxes, strict=True):
        image.paste(cells[word], box)
    for name in names:
        (folder / name).mkdir()
        lines = "".join(
            LINE.format(i=i, x=x, y=y, r=x + 40, b=y + 16, text=TEXT.format(noisy(word, dice)))
            for i, (word, (x, y)) in enumerate(zip(words, boxes, strict=True))
        )
        text = PAGE.format(stem="great", width=width, height=height, lines=lines)
        (folder / name / "great.xml").write_text(text, encoding="utf-8")
    image.save(folder / names[0] / "great.png", compress_level=1)


def small_pages(folder: Path, count: int) -> None:
    """Pages of one small line, each with its own image."""
    folder.mkdir()
    image, line = word_image("acte", 40, 16), LINE.format(i=0, x=0, y=0, r=40, b=16, text="")
    for page in range(count):
        stem = f"p{page:05}"
        text = PAGE.format(stem=stem, width=40, height=16, lines=line)
        (folder / f"{stem}.xml").write_text(text, encoding="utf-8")
        image.save(folder / f"{stem}.png")


# ---- what is measured ---------------------------------------------------------------------


def resident(root: int) -> int:
    """Bytes of all processes below ``root``, itself included (shared pages counted in each)."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry))
    total, todo = 0, [root]
    while todo:
        pid = todo.pop()
        todo += children.get(pid, [])
        try:
            total += int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
        except OSError:
            continue
    return total * os.sysconf("SC_PAGE_SIZE")


def counted(base: Path, query: str) -> Callable[[], int]:
    """How much a run has done, by its own journal."""

    def count() -> int:
        try:
            with sqlite3.connect(f"file:{base}?mode=ro", uri=True) as connection:
                return int(connection.execute(query).fetchone()[0])
        except sqlite3.Error:
            return 0

    return count


def command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "ensemble_htr", *words]


def watched(words: Sequence[str], done: Callable[[], int], total: int) -> dict[str, Any]:
    """Run the command at low priority, sampling until it ends."""
    begun, samples, share = time.monotonic(), list[Sample](), 0.0
    talk = tempfile.TemporaryFile("w+")
    process = subprocess.Popen(["nice", "-n", "5", *command(words)], stderr=talk, text=True)
    while process.poll() is None:
        share = max(share, min(1.0, done() / total)) if total else 0.0  # kept when the file goes
        samples.append((time.monotonic() - begun, share, resident(process.pid)))
        time.sleep(1.0)
    talk.seek(0)
    said = talk.read().splitlines()
    if process.returncode != 0:
        raise click.ClickException("\n".join(said[-3:]))
    at = {f"{share:.0%}": about(samples, share) for share in SHARES} if total else {}
    peak = max(size for _, _, size in samples)
    seconds = round(time.monotonic() - begun)
    click.echo(f"{' '.join(words)}: {at}, peak {peak >> 20} MiB, {seconds} s, {said[-1]}")
    return {"mib": at, "peak": peak >> 20, "seconds": seconds, "said": said[-1]}


def about(samples: Sequence[Sample], share: float) -> int:
    """The most memory, in MiB, within the twentieth of the work that ends at ``share``."""
    near = [size for _, done, size in samples if share - 0.05 < done <= share]
    return max(near, default=0) >> 20


def twice(words: Sequence[str], pages: int) -> dict[str, Any]:
    """Seconds of the first and of two later runs of the same command."""
    seconds = []
    for _ in range(3):
        begun = time.monotonic()
        result = subprocess.run(command(words), stderr=subprocess.PIPE, text=True, check=True)
        seconds.append(round(time.monotonic() - begun, 2))
    said = result.stderr.splitlines()[-1]
    click.echo(f"{pages} pages: {seconds} s, {said}")
    return {"pages": pages, "seconds": seconds, "said": said}


# ---- the scenarios ------------------------------------------------------------------------


def again(work: Path, share: float) -> Iterator[tuple[str, dict[str, Any]]]:
    for pages in (round(1000 * share), round(3000 * share)):
        small_pages(work / f"p{pages}", pages)
        words = ["transcribe", f"{work}/p{pages}", "-o", f"{work}/read{pages}", "--no-lm",
                 "--recognizers", "crnn"]  # fmt: skip
        yield f"transcribe, {pages} pages", twice(words, pages)


def combine(work: Path, share: float) -> Iterator[tuple[str, dict[str, Any]]]:
    count = round(100_000 * share)
    rows(work, count)
    engines = [word for name in "xyz" for word in ("--engine", f"{name}={work}/{name}.jsonl")]
    words = ["combine", *engines, "-o", f"{work}/combined", "--no-lm", "--jobs", "2"]
    done = counted(work / "combined/.ensemble-htr/parts.sqlite",
                   "SELECT COUNT(DISTINCT position) FROM parts")  # fmt: skip
    result = watched(words, done, -(-count // 64))
    with open(work / "combined" / "combined.txt", encoding="utf-8") as file:
        result["lines"] = sum(1 for _ in file)
    yield f"combine, {count} lines of three engines", result


def lines(work: Path, share: float) -> Iterator[tuple[str, dict[str, Any]]]:
    count = round(20_000 * share)
    line_images(work / "lines", count)
    words = ["transcribe", f"{work}/lines", "-o", f"{work}/read", "--format", "txt", "--no-lm",
             "--recognizers", "crnn", "--jobs", "2"]  # fmt: skip
    done = counted(work / "read/.ensemble-htr/journal.sqlite", "SELECT COUNT(*) FROM pages")
    result = watched(words, done, count)
    result["lines"] = sum(1 for _ in (work / "read").glob("*.txt"))
    yield f"transcribe, {count} line images", result


def page(work: Path, share: float) -> Iterator[tuple[str, dict[str, Any]]]:
    count = round(100_000 * share)
    great_page(work, count, ["one", "two"])
    engines = [word for name in ("one", "two") for word in ("--engine", f"{name}={work}/{name}")]
    words = ["combine", *engines, "-o", f"{work}/great", "--no-lm", "--jobs", "2"]
    result = watched(words, lambda: 0, 0)
    result["lines"] = (work / "great" / "great.txt").read_text(encoding="utf-8").count("\n")
    yield f"combine, one page of {count} lines", result


def read(work: Path, share: float) -> Iterator[tuple[str, dict[str, Any]]]:
    count = round(100_000 * share)
    great_page(work, count, ["one"])
    words = ["transcribe", f"{work}/one", "-o", f"{work}/great-read", "--no-lm", "--recognizers",
             "crnn", "--jobs", "2"]  # fmt: skip
    result = watched(words, lambda: 0, 0)
    result["lines"] = (work / "great-read" / "great.txt").read_text(encoding="utf-8").count("\n")
    yield f"transcribe, one page of {count} lines", result


SCENARIOS = {f.__name__: f for f in (again, combine, lines, page, read)}


def table(found: dict[str, dict[str, Any]]) -> str:
    """The figures as Markdown."""
    out = ["# Scale", "", "Generated inputs, two processes (one page: one), no language model; a",
           "machine with two cores that were busy with other work, so times are upper bounds. Made",
           "by `python eval/scale.py`.", "", "## Memory", "",
           "Resident memory of all processes together in MiB (pages that they share are counted in",
           "each): the most within the twentieth of the work that ends at the share named. A page",
           "is held whole: there memory goes with its lines.", "",
           "| run | at 10 % | at 50 % | at 100 % | peak | lines written | minutes | commit |",
           "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, result in found.items():
        if "peak" in result:
            at = [str(result["mib"].get(f"{share:.0%}") or "–") for share in SHARES]
            minutes = round(result["seconds"] / 60)
            rest = (result["peak"], result["lines"], minutes, result["commit"])
            out.append(f"| {name} | {' | '.join([*at, *map(str, rest)])} |")
    out += ["", "## A finished job, once more", "", "Seconds, the start of the program included.",
            "", "| run | first | second | third | commit |", "|---|---|---|---|---|"]  # fmt: skip
    for name, result in found.items():
        if "pages" in result:
            cells = [*map(str, result["seconds"]), result["commit"]]
            out.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(out) + "\n"


@click.command()
@click.argument("scenarios", nargs=-1, type=click.Choice(list(SCENARIOS)))
@click.option("--share", default=1.0, help="Of the usual numbers, to try it out.")
@click.option("--work", type=click.Path(path_type=Path), help="Where the inputs are made.")
def main(scenarios: tuple[str, ...], share: float, work: Path | None) -> None:
    """Measure the scenarios (all without an argument)."""
    file = HERE / "scale.json"
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for scenario in scenarios or SCENARIOS:
        with tempfile.TemporaryDirectory(dir=work) as folder:
            for name, result in SCENARIOS[scenario](Path(folder), share):
                found[name] = {**result, "commit": commit()}
                file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
                (HERE / "scale.md").write_text(table(found), encoding="utf-8")


if __name__ == "__main__":
    main()
