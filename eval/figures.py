"""Do README, cards and tables quote what the stored readings give?

    python eval/figures.py [--write]

Scores the readings of `eval/readings/SPLIT.jsonl.xz` (written by the recipes that read pages) and
compares every quotation that `eval/quotes.toml` lists with the file it stands in. Exit status 1 if
one differs; `--write` puts the right figures in place. A quotation is a piece of text with
`{SPLIT/SYSTEM.FIGURE}`; with `systems = [...]` it stands once for each, as `{system}`. Figures:
`cer`, `wer` (per cent), `interval` (of the CER), `right` (lines, per cent), `ece`, `auroc`,
`word_ece`, `word_auroc`, `line_ece`, `line_auroc`, `found` (per cent of the errors in the 20 %
least sure lines), and `SPLIT/lines`, `SPLIT/characters`. Lines with a letter, profile fr-archive.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parent))

from stored import FOLDER, load  # noqa: E402

from ensemble_htr.config import load_toml  # noqa: E402
from ensemble_htr.errors import ConfigError, EnsembleError, InputError, did_you_mean  # noqa: E402
from ensemble_htr.evaluate import Report, SystemReport, score_records  # noqa: E402
from ensemble_htr.files import atomic_write  # noqa: E402
from ensemble_htr.text import profile  # noqa: E402

HERE = Path(__file__).parent
_PLACE = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Quote:
    file: str  # relative to the clone
    text: str
    systems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quotes:
    quote: tuple[Quote, ...] = ()


def figures(report: Report) -> dict[str, str]:
    """Every figure of a split by name, as it is quoted."""
    found = {"lines": f"{report.lines:,}"}
    for system in report.systems:
        found["characters"] = f"{system.overall.characters.reference:,}"
        found |= {f"{system.name}.{name}": value for name, value in _of_system(system).items()}
    return found


def _of_system(system: SystemReport) -> dict[str, str]:
    scores = system.overall
    found = {
        "cer": f"{100 * scores.cer.value:.2f}",
        "wer": f"{100 * scores.wer.value:.2f}",
        "interval": f"[{100 * scores.cer.low:.2f}, {100 * scores.cer.high:.2f}]",
        "right": f"{100 * scores.right / max(1, scores.lines):.1f}",
    }
    levels = (("", "characters"), ("word_", "words"), ("line_", "lines"))
    for prefix, level in levels:
        if (known := getattr(system.confidences, level)) is not None:
            found[f"{prefix}ece"] = f"{known.calibration.ece:.3f}"
            found[f"{prefix}auroc"] = f"{known.calibration.auroc:.3f}"
    if system.confidences.lines is not None:
        found["found"] = f"{100 * system.confidences.lines.review.found:.0f}"
    return found


def score(folder: Path) -> dict[str, str]:
    """All figures of all stored splits, as `SPLIT/SYSTEM.FIGURE`."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.jsonl.xz")):
        split = path.name.removesuffix(".jsonl.xz")
        truth, rows = load(path)
        report = score_records(truth, rows, profile("fr-archive"), letters_only=True)
        found |= {f"{split}/{name}": value for name, value in figures(report).items()}
    if not found:
        raise InputError(f"{folder}: no stored readings (SPLIT.jsonl.xz)")
    return found


def filled(text: str, known: Mapping[str, str]) -> str:
    """A quotation with its figures; raises `ConfigError` for one that nobody has."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise ConfigError(f"quotes.toml: no figure {match[1]}{did_you_mean(match[1], known)}")
        return known[match[1]]

    return _PLACE.sub(value, text)


def check(root: Path, quotes: Quotes, known: Mapping[str, str], write: bool) -> list[str]:
    """What differs, a sentence each; with ``write`` it is put right where the quotation is found
    with other figures."""
    wrong = []
    for quote in quotes.quote:
        for system in quote.systems or ("",):
            template = quote.text.replace("{system}", system)
            template = _PLACE.sub(lambda m, s=system: m[0].replace("SYSTEM", s), template)
            text = filled(template, known)
            path = root / quote.file
            page = path.read_text(encoding="utf-8")
            if text in page:
                continue
            pattern = "".join(
                re.escape(part) if i % 2 == 0 else r"[-+0-9.,\[\] ]+?"
                for i, part in enumerate(_PLACE.split(template))
            )
            stands = re.search(pattern, page)
            wrong.append(
                f"{quote.file}: wanted  {text}"
                + (f"  found  {stands[0]}" if stands else "  found nothing like it")
            )
            if write and stands:
                atomic_write(path, page.replace(stands[0], text))
    return wrong


@click.command()
@click.option("--readings", type=click.Path(path_type=Path), default=FOLDER, show_default=True)
@click.option(
    "--quotes", type=click.Path(path_type=Path), default=HERE / "quotes.toml", show_default=True
)
@click.option("--root", type=click.Path(path_type=Path), default=HERE.parent, hidden=True)
@click.option("--write", is_flag=True, help="Put the right figures in place.")
def main(readings: Path, quotes: Path, root: Path, write: bool) -> None:
    """Compare what is quoted with what the stored readings give."""
    try:
        listed = load_toml(quotes, Quotes)
        wrong = check(root, listed, score(readings), write)
    except EnsembleError as error:
        raise click.ClickException(str(error)) from None
    for sentence in wrong:
        click.echo(sentence, err=True)
    if wrong and not write:
        raise click.ClickException(f"{len(wrong)} quotations differ; --write mends them")
    click.echo(f"{len(listed.quote)} quotations looked at, {len(wrong)} differed")


if __name__ == "__main__":
    main()
