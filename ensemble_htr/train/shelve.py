"""Put a finished run on the models shelf: weights, log, plot, lock and card.

Run with ``python -m ensemble_htr.train.shelve runs/crnn models/crnn``; the folder's
``recipe.toml`` must be the one that the run was made from. What the recipe does not tell of the run
(a schedule changed on the way, a pause) stands in ``history.md`` there and enters the card.

A run that began from the very weights on the shelf (``init`` in its recipe) goes on from them:
with ``--continued`` its log is added to theirs, epochs, lines and seconds counted on. The folder's
recipe stays; ``history.md`` has to tell what the run changed.
"""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from ensemble_htr.assets import sha256_file, write_lock
from ensemble_htr.config import from_mapping
from ensemble_htr.errors import AssetError, EnsembleError
from ensemble_htr.files import atomic_write
from ensemble_htr.recognizers.weights import Weights, load_weights, save_weights
from ensemble_htr.train.plot import plot_log
from ensemble_htr.train.recipe import Recipe, load_recipe

__all__ = ["describe", "shelve"]

LICENCE = "CC-BY-4.0 (see models/NOTICE.md for the data's attributions)"


def shelve(run: Path, folder: Path, continued: bool = False) -> None:
    """Copy a run's product into ``folder`` and describe it; raises `AssetError` if the run was
    made from another recipe than the one that lies there, or (``continued``) from other weights."""
    weights = load_weights(run / "model.safetensors")
    recipe = load_recipe(folder / "recipe.toml")
    rows = _rows(run / "log.jsonl")
    if continued:
        weights, rows = _joined(weights, rows, folder)
        save_weights(
            folder / "model.safetensors", weights.tensors, architecture=weights.architecture,
            network=weights.network, alphabet=weights.alphabet, profile=weights.profile,
            facts=weights.facts,
        )  # fmt: skip
    elif recipe != from_mapping(weights.facts["recipe"], Recipe, str(run)):
        raise AssetError(f"{folder / 'recipe.toml'}: is not the recipe that {run} was made from")
    else:
        shutil.copyfile(run / "model.safetensors", folder / "model.safetensors")
    atomic_write(folder / "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    plot_log(folder / "log.jsonl", folder / "log.png")
    describe(folder, weights)


def describe(folder: Path, weights: Weights) -> None:
    """Write the card and the lock of the ``weights`` that lie in ``folder``."""
    recipe, rows = load_recipe(folder / "recipe.toml"), _rows(folder / "log.jsonl")
    progress = dict(weights.facts["progress"])
    kept = next(row for row in rows if row["epoch"] == progress["epoch"])
    progress["seconds"] = kept["seconds"]  # the clock's, so that the weights hold nothing of it
    history = folder / "history.md"
    told = history.read_text(encoding="utf-8").strip() if history.exists() else ""
    atomic_write(folder / "card.md", _card(folder.name, recipe, weights, rows, told))
    files = ["model.safetensors", "recipe.toml", "log.jsonl"]
    if spoken := weights.facts.get("language"):
        files += ["language.toml", "language.jsonl"]
    data = {"lines": weights.facts["data"], "folders": [s.path for s in recipe.data.train]}
    if "texts" in weights.facts:
        data |= {"texts": weights.facts["texts"], "files": [t.path for t in recipe.paste.texts]}
    if spoken:
        read = [source["path"] for source in spoken["recipe"]["texts"]]
        data |= {"language": {"texts": spoken["texts"], "files": read}}
    write_lock(
        folder,
        [*files, "log.png"] if (folder / "log.png").exists() else files,
        licence=LICENCE,
        data=data,
        tools={"python": platform.python_version(), "torch": version("torch")},
        facts={"parameters": _parameters(weights), "progress": progress},
    )


def _rows(log: Path) -> list[dict[str, Any]]:
    return [json.loads(row) for row in log.read_text(encoding="utf-8").splitlines() if row]


def _joined(
    weights: Weights, rows: list[dict[str, Any]], folder: Path
) -> tuple[Weights, list[dict[str, Any]]]:
    """The weights of a run that began from those in ``folder`` and the log of both runs, counted on
    from the epoch that was kept of the first."""
    shelf = folder / "model.safetensors"
    if weights.facts.get("init") != sha256_file(shelf):
        raise AssetError(f"{shelf}: is not what the run began from")
    kept = load_weights(shelf).facts["progress"]
    before = [row for row in _rows(folder / "log.jsonl") if row["epoch"] <= kept["epoch"]]
    last, more = before[-1], []
    for row in rows:
        counted = {k: row[k] + last[k] for k in ("epoch", "lines")}
        seconds = round(row["seconds"] + last["seconds"], 3)
        pace = round(counted["lines"] / seconds, 1)
        more.append(row | counted | {"seconds": seconds, "lines_per_second": pace})
    progress = dict(weights.facts["progress"])
    for key in ("epoch", "step", "best_epoch", "lines"):
        progress[key] += kept[key]
    weights = replace(weights, facts={**weights.facts, "progress": progress})
    return weights, before + more


def _parameters(weights: Weights) -> int:
    """Trainable numbers; the running statistics of batch norm are none."""
    return sum(t.numel() for n, t in weights.tensors.items() if "running_" not in n and t.ndim)


def _card(
    name: str, recipe: Recipe, weights: Weights, rows: list[dict[str, Any]], history: str
) -> str:
    best = min(rows, key=lambda r: r["val_cer_letters"])
    last = rows[-1]
    before = rows[-3] if len(rows) >= 3 else rows[0]
    epochs = max(1, last["epoch"] - before["epoch"])
    slope = 100 * (last["val_cer_letters"] - before["val_cer_letters"]) / epochs
    sources = ", ".join(f"{s.path} (share {s.share})" for s in recipe.data.train)
    if recipe.paste.texts:
        files = ", ".join(text.path for text in recipe.paste.texts)
        sources += f" and {recipe.paste.share} frames of pasted lines for each of theirs ({files})"
    told = f"- **History of this run**: {history}\n" if history else ""
    told = _language(name, weights) + told
    return f"""# {name}

{recipe.description}.

- **What it is**: {recipe.architecture}, {_parameters(weights) / 1e6:.2f} M parameters, fp16; line
  images of {weights.network["height"]} px height{_wide(weights)} in, CTC posteriors over
  {len(weights.alphabet)} characters out. Profile {weights.profile}.
- **Made by**: `ensemble-htr train models/{name}/recipe.toml`; {last["lines"]:,} lines
  sampled in {last["epoch"]} epochs from {sources}, {last["seconds"] / 3600:.2f} hours of
  one CPU core that other work shared. Log: `log.jsonl`, plot: `log.png`.
- **What it scores**: while it was trained, greedy CER of its CTC on {recipe.data.val}, the
  split that chose the epoch, {100 * best["val_cer_letters"]:.2f} % on lines with a letter (on
  all lines {100 * best["val_cer"]:.2f} %). Read as `transcribe` reads{_writer(recipe)}, that split
  and the tests, by document and by hand, with intervals: `scores.md`; what it mistakes:
  `failures.png`.
- **Meant for**: reading lines of French registers, wills and letters of 1830-1939 as one of several
  readers (`--model default`), and as a beginning for other hands (`finetune`). Not for texts that
  must be right without anybody's eyes on them, nor for telling who wrote.
- **Where it stands**: over the last {epochs} epochs the CER went by {slope:+.2f} points an epoch;
  {_state(last["epoch"], recipe)}. A longer schedule can go on from these weights.
{told}- **Where it fails**: hands and spellings far from French registers, wills and letters of
  1830-1939; other alphabets; lines of more than one row.
- **Licence**: {LICENCE}.
"""


def _wide(weights: Weights) -> str:
    stretch = weights.network.get("stretch", 1.0)
    return "" if stretch == 1 else f", {stretch:g} times as wide as their aspect ratio says,"


def _language(name: str, weights: Weights) -> str:
    said = weights.facts.get("language")
    if not said:
        return ""
    recipe = said["recipe"]
    files = ", ".join(source["path"] for source in recipe["texts"])
    return f"""- **Its language module** (how texts go on, without a line; `[search] inner` is its
  weight while the decoder writes): `models/{name}/language.toml`, {recipe["steps"]:,} steps,
  {said["lines"]:,} lines of text drawn ({said["characters"] / 1e6:.1f} million characters) from
  {files}; {said["val"]:.3f} nats a character on {recipe["val"]}. It saw no image. Log:
  `language.jsonl`.
"""


def _writer(recipe: Recipe) -> str:
    return ", its decoder writing" if recipe.architecture == "transformer" else ""


def _state(epoch: int, recipe: Recipe) -> str:
    if epoch >= recipe.train.epochs:
        return "the cosine schedule had ended"
    return f"the run stopped in a schedule of {recipe.train.epochs} epochs"


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--continued", is_flag=True, help="RUN began from the weights in FOLDER.")
def main(run: Path, folder: Path, continued: bool) -> None:
    """Put the finished RUN on the shelf FOLDER."""
    try:
        shelve(run, folder, continued)
    except EnsembleError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{folder}: shelved")


if __name__ == "__main__":
    main()
