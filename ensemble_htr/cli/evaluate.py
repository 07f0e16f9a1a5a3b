"""``ensemble-htr evaluate``: error rates of any systems against a ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ensemble_htr.evaluate import Options, Report

__all__ = ["evaluate"]


@click.command("evaluate")
@click.argument("ground_truth", type=click.Path(path_type=Path))
@click.argument("systems", metavar="SYSTEM...", nargs=-1, required=True)
@click.option("--json", "json_file", metavar="FILE", help="Write all figures as JSON (- = stdout).")
@click.option("--report", "report_file", metavar="FILE.html", help="Write them as one HTML file.")
@click.option("--tsv", "tsv_file", metavar="FILE", help="Write a row for every line (- = stdout).")
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    metavar="NAME|FILE.toml",
    help="Normalisation profile; further ones stand beside the first, 'all' = every one. "
    "[fr-archive, or that of --language]",
)
@click.option("--language", metavar="NAME|FOLDER", help="Language pack whose profile is meant.")
@click.option("--engines", metavar="NAME,...", help="Systems whose readings the others combine.")
@click.option(
    "--lexicon",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Words that are known (one a line; what follows a tab is ignored).",
)
@click.option("--letters", is_flag=True, help="Score only lines whose reference holds a letter.")
@click.option("--per-document", is_flag=True, help="Show the rates of every document.")
def evaluate(
    ground_truth: Path,
    systems: tuple[str, ...],
    json_file: str | None,
    report_file: str | None,
    tsv_file: str | None,
    profiles: tuple[str, ...],
    language: str | None,
    engines: str | None,
    lexicon: tuple[Path, ...],
    letters: bool,
    per_document: bool,
) -> None:
    """Score each SYSTEM (PATH or NAME=PATH) against GROUND_TRUTH.

    Both are a folder or a file of PAGE, ALTO, hOCR, JSONL, TSV (id, tab, text), CTM or plain lines.
    Plain lines are matched within their page by number or text, all others by page and id; a page
    that a system cuts into other lines is aligned as one text. CER and WER are over all scored
    lines, lines with and without a letter stand beside them; intervals are over whole documents.
    """
    from ensemble_htr.evaluate import evaluate as score

    if not profiles or profiles[0] == "all":
        profiles = (_profile_of(language), *profiles)
    options = _options(ground_truth, profiles, engines, lexicon)
    named = [_system(s) for s in systems]
    report = score(ground_truth, named, profiles[0], letters, options=options)
    for notice in report.notices:
        click.echo(notice, err=True)
    _write(report, options, json_file, tsv_file, report_file)
    if "-" not in (json_file, tsv_file, report_file):
        from ensemble_htr.evaluate import to_text

        click.echo(to_text(report, per_document))


def _profile_of(language: str | None) -> str:
    from ensemble_htr.packs import load_pack

    return load_pack(language)[1].profile if language else "fr-archive"


def _options(
    ground_truth: Path, profiles: tuple[str, ...], engines: str | None, lexicon: tuple[Path, ...]
) -> Options:
    from ensemble_htr.evaluate import Options, facts_of, find_profile, read_lexicon
    from ensemble_htr.text import PROFILES

    names = tuple(PROFILES) if "all" in profiles[1:] else profiles[1:]
    return Options(
        beside=tuple(find_profile(n) for n in dict.fromkeys(names) if n != profiles[0]),
        engines=tuple(e.strip() for e in (engines or "").split(",") if e.strip()),
        lexicon=read_lexicon(lexicon),
        facts=facts_of(ground_truth),
    )


def _write(
    report: Report,
    options: Options,
    json_file: str | None,
    tsv_file: str | None,
    report_file: str | None,
) -> None:
    import json

    from ensemble_htr.evaluate import to_html, to_json, to_tsv
    from ensemble_htr.files import atomic_write

    texts: dict[str, str] = {}
    if json_file is not None:
        texts[json_file] = json.dumps(
            to_json(report), ensure_ascii=False, allow_nan=False, indent=1
        )
    if tsv_file is not None:
        texts[tsv_file] = to_tsv(report).rstrip("\n")
    if report_file is not None:
        texts[report_file] = to_html(report, options.facts).rstrip("\n")
    for name, text in texts.items():
        click.echo(text) if name == "-" else atomic_write(Path(name), text + "\n")


def _system(argument: str) -> Path | tuple[str, Path]:
    """``NAME=PATH`` unless a file of that very name exists."""
    name, equals, path = argument.partition("=")
    return (name, Path(path)) if equals and name and not Path(argument).exists() else Path(argument)
