"""``ensemble-htr evaluate``: error rates of any systems against a ground truth."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["evaluate"]


@click.command("evaluate")
@click.argument("ground_truth", type=click.Path(path_type=Path))
@click.argument("systems", metavar="SYSTEM...", nargs=-1, required=True)
@click.option("--json", "json_file", metavar="FILE", help="Write all figures as JSON (- = stdout).")
@click.option("--profile", default="fr-archive", show_default=True, help="Normalisation profile.")
@click.option("--letters", is_flag=True, help="Score only lines whose reference holds a letter.")
@click.option("--per-document", is_flag=True, help="Show the rates of every document.")
def evaluate(
    ground_truth: Path,
    systems: tuple[str, ...],
    json_file: str | None,
    profile: str,
    letters: bool,
    per_document: bool,
) -> None:
    """Score each SYSTEM (PATH or NAME=PATH) against GROUND_TRUTH.

    Both are a folder or a file of PAGE, ALTO, hOCR, JSONL, TSV (id, tab, text), CTM or plain lines.
    Plain lines are matched within their page by number or text, all others by page and id. CER and
    WER are over all scored lines, lines with and without a letter stand beside them; intervals
    resample whole documents.
    """
    import json

    from ensemble_htr.evaluate import evaluate as score
    from ensemble_htr.evaluate import to_json, to_text
    from ensemble_htr.files import atomic_write

    report = score(ground_truth, [_system(s) for s in systems], profile, letters)
    for notice in report.notices:
        click.echo(notice, err=True)
    if json_file is not None:
        data = json.dumps(to_json(report), ensure_ascii=False, allow_nan=False, indent=1)
        click.echo(data) if json_file == "-" else atomic_write(Path(json_file), data + "\n")
    if json_file != "-":
        click.echo(to_text(report, per_document))


def _system(argument: str) -> Path | tuple[str, Path]:
    """``NAME=PATH`` unless a file of that very name exists."""
    name, equals, path = argument.partition("=")
    return (name, Path(path)) if equals and name and not Path(argument).exists() else Path(argument)
