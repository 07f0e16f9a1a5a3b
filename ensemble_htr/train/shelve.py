"""Put a finished run on the models shelf: weights, log, plot, lock and card.

Run with ``python -m ensemble_htr.train.shelve runs/crnn models/crnn``; the folder's
``recipe.toml`` must be the one that the run was made from. What the recipe does not tell of the run
(a schedule changed on the way, a pause) stands in ``history.md`` there and enters the card.
"""

from __future__ import annotations

import json
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from ensemble_htr.assets import write_lock
from ensemble_htr.config import from_mapping
from ensemble_htr.errors import AssetError
from ensemble_htr.files import atomic_write
from ensemble_htr.recognizers.weights import Weights, load_weights
from ensemble_htr.train.plot import plot_log
from ensemble_htr.train.recipe import Recipe, load_recipe

__all__ = ["shelve"]

LICENCE = "CC-BY-4.0 (see models/NOTICE.md for the data's attributions)"


def shelve(run: Path, folder: Path) -> None:
    """Copy a run's product into ``folder`` and describe it; raises `AssetError` if the run was
    made from another recipe than the one that lies there."""
    weights = load_weights(run / "model.safetensors")
    recipe = load_recipe(folder / "recipe.toml")
    if recipe != from_mapping(weights.facts["recipe"], Recipe, str(run)):
        raise AssetError(f"{folder / 'recipe.toml'}: is not the recipe that {run} was made from")
    for name in ("model.safetensors", "log.jsonl"):
        shutil.copyfile(run / name, folder / name)
    plot_log(folder / "log.jsonl", folder / "log.png")
    rows = [json.loads(row) for row in (run / "log.jsonl").read_text().splitlines() if row]
    progress = dict(weights.facts["progress"])
    kept = next(row for row in rows if row["epoch"] == progress["epoch"])
    progress["seconds"] = kept["seconds"]  # the clock's, so that the weights hold nothing of it
    history = folder / "history.md"
    told = history.read_text(encoding="utf-8").strip() if history.exists() else ""
    atomic_write(folder / "card.md", _card(folder.name, recipe, weights, rows, told))
    files = ["model.safetensors", "recipe.toml", "log.jsonl"]
    write_lock(
        folder,
        [*files, "log.png"] if (folder / "log.png").exists() else files,
        licence=LICENCE,
        data={"lines": weights.facts["data"], "folders": [s.path for s in recipe.data.train]},
        tools={"python": platform.python_version(), "torch": version("torch")},
        facts={"parameters": _parameters(weights), "progress": progress},
    )


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
    told = f"- **History of this run**: {history}\n" if history else ""
    return f"""# {name}

{recipe.description}.

- **What it is**: {recipe.architecture}, {_parameters(weights) / 1e6:.2f} M parameters, fp16; line
  images of {weights.network["height"]} px height in, CTC posteriors over {len(weights.alphabet)}
  characters out. Profile {weights.profile}.
- **Made by**: `ensemble-htr train models/{name}/recipe.toml`; {last["epoch"]} epochs of
  {recipe.train.lines_per_epoch} sampled lines from {sources}, {last["seconds"] / 3600:.2f} hours on
  one CPU core that other work shared. Log: `log.jsonl`, plot: `log.png`.
- **What it scores**: greedy CER {100 * best["val_cer_letters"]:.2f} % on the lines with a letter of
  {recipe.data.val} (all lines {100 * best["val_cer"]:.2f} %), the split that chose the epoch. The
  tests are in `eval/recognition.md` or `eval/readers.md`.
- **Where it stands**: over the last {epochs} epochs the CER went by {slope:+.2f} points an epoch;
  {_state(last["epoch"], recipe)}. A longer schedule can go on from these weights.
{told}- **Where it fails**: hands and spellings far from French registers, wills and letters of
  1830-1939; other alphabets; lines of more than one row.
- **Licence**: {LICENCE}.
"""


def _state(epoch: int, recipe: Recipe) -> str:
    if epoch >= recipe.train.epochs:
        return "the cosine schedule had ended"
    return f"the run stopped in a schedule of {recipe.train.epochs} epochs"


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
def main(run: Path, folder: Path) -> None:
    """Put the finished RUN on the shelf FOLDER."""
    shelve(run, folder)
    click.echo(f"{folder}: shelved")


if __name__ == "__main__":
    main()
