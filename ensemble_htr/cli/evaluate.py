"""``ensemble-htr evaluate``: error rates of any systems against a ground truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ensemble_htr.errors import OutputError, UsageError

if TYPE_CHECKING:
    from ensemble_htr.evaluate import Options, Report

__all__ = ["evaluate"]


@click.command("evaluate")
@click.argument("ground_truth")
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
@click.option("--language", metavar="NAME|FOLDER", help="Language pack whose profile is first.")
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
    ground_truth: str,
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

    truth, named = _path(ground_truth, ground_truth), [_system(s) for s in systems]
    if not profiles or profiles[0] == "all":
        profiles = (_profile_of(language), *profiles)
    elif language:
        raise UsageError("--language and --profile both say which profile is first: give one")
    options = _options(truth, profiles, engines, lexicon)
    own = [Path(name) for name in profiles if Path(name).is_file()]
    _require_outputs(
        {"--json": json_file, "--tsv": tsv_file, "--report": report_file},
        [truth, *(s if isinstance(s, Path) else s[1] for s in named), *lexicon, *own],
    )
    report = score(truth, named, profiles[0], letters, options=options)
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
    from ensemble_htr.cli.main import names_argument
    from ensemble_htr.evaluate import Options, facts_of, find_profile, read_lexicon
    from ensemble_htr.text import PROFILES

    names = tuple(PROFILES) if "all" in profiles[1:] else profiles[1:]
    first, *beside = (find_profile(n) for n in dict.fromkeys((profiles[0], *names)))
    for number, form in enumerate(beside):
        if form.name in {first.name, *(other.name for other in beside[:number])}:
            raise UsageError(f"two profiles are called '{form.name}': give each a name of its own")
    return Options(
        beside=tuple(beside),
        engines=names_argument("--engines", engines) or (),
        lexicon=read_lexicon(lexicon),
        facts=facts_of(ground_truth),
    )


def _require_outputs(outputs: Mapping[str, str | None], inputs: Iterable[Path]) -> None:
    """Before anything is scored: every output a file of its own, none of them an input."""
    from ensemble_htr.io.readings import record_files

    given = {option: name for option, name in outputs.items() if name is not None}
    taken: dict[str | Path, str] = {}
    for option, name in given.items():
        if name != "-" and Path(name).is_dir():
            raise OutputError(f"{name or '.'}: is a folder; {option} wants the name of a file")
        place = name if name == "-" else Path(name).resolve()
        if place in taken:
            raise UsageError(
                f"{taken[place]} and {option} both write to '{name}': give each its own"
            )
        taken[place] = option
    there = {option: Path(n) for option, n in given.items() if n != "-" and Path(n).is_file()}
    for file in (f for path in inputs if there and path.exists() for f in record_files(path)):
        for option, out in there.items():
            if out.samefile(file):
                raise OutputError(
                    f"{out}: is an input and would be overwritten; give {option} another file"
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
    if equals and name and not Path(argument).exists():
        return name, _path(path, argument)
    return _path(argument, argument)


def _path(name: str, argument: str) -> Path:
    """An empty name (a shell's variable that is not set) does not mean the working directory."""
    if not name:
        raise UsageError(f"'{argument}' names no file or folder")
    return Path(name)
