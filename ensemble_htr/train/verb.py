"""``train RECIPE``: data, loop, log, plot."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ensemble_htr.assets import LOCK
from ensemble_htr.errors import InputError, OutputError
from ensemble_htr.train.data import Sample, load_folder, read_pack, write_pack
from ensemble_htr.train.loop import Trainer
from ensemble_htr.train.plot import plot_log
from ensemble_htr.train.recipe import Recipe, load_recipe

__all__ = ["gather", "make_folder", "make_pack", "say_to_stderr", "train"]

_PRODUCT = ("model.safetensors", "log.jsonl", LOCK)  # what a run or a shelved model has


def say_to_stderr(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def gather(recipe: Recipe, root: Path, packed: Path | None) -> tuple[list[Sample], list[Sample]]:
    """The training and validation lines, from pages or from one packed file."""
    names, steps = [source.path for source in recipe.data.train], recipe.preprocess
    if packed is None:
        train = [s for name in names for s in load_folder(root, name, recipe.data, steps)]
        val = load_folder(root, recipe.data.val, recipe.data, steps)
    else:
        samples = read_pack(packed, steps)
        train = [s for s in samples if s.source in names]
        val = [s for s in samples if s.source == recipe.data.val]
    if not train or not val:
        lacking = "training" if not train else "validation"
        raise InputError(f"{packed or root}: no {lacking} lines for the recipe's [data] folders")
    return train, val


def make_pack(recipe_path: Path, root: Path, out: Path, quality: int) -> int:
    """Pack the recipe's training and validation lines into one file; returns its bytes."""
    recipe = load_recipe(recipe_path)
    train, val = gather(recipe, root, None)
    return write_pack(out, [*train, *val], quality, recipe.preprocess)


def train(
    recipe_path: Path,
    folder: Path,
    *,
    root: Path,
    packed: Path | None = None,
    resume: bool = False,
    minutes: float | None = None,
) -> float:
    """Train a recipe into ``folder``; returns the best val CER on lines with a letter.

    Raises `InputError` where ``folder`` holds a run that is not to be resumed, `OutputError` where
    it holds a model whose run cannot be.
    """
    recipe = load_recipe(recipe_path)
    begun = (folder / "last.pt").exists()
    if begun and not resume:
        raise InputError(f"{folder} holds a run already: give --resume or another folder")
    held = next((name for name in _PRODUCT if (folder / name).exists()), None)
    if held and not begun:
        raise OutputError(
            f"{folder / held}: is of a model and would be replaced; give another folder with -o"
        )
    make_folder(folder)
    lines, val = gather(recipe, root, packed)
    trainer = Trainer(recipe, lines, val, folder, say_to_stderr, root=root)
    if resume and trainer.resume():
        say_to_stderr(f"\nresumed after epoch {trainer.progress.epoch}\n")
    kept = (p for n, p in trainer.net.named_parameters() if not n.startswith("shortcut"))
    count = sum(p.numel() for p in kept)
    say_to_stderr(
        f"\n{recipe.architecture}: {count / 1e6:.2f} M parameters, "
        f"{len(trainer.alphabet)} characters, "
        f"{len(lines)} training lines, {len(val)} validation lines\n"
    )
    progress = trainer.run(None if minutes is None else time.time() + 60 * minutes)
    plot_log(folder / "log.jsonl", folder / "log.png")
    return progress.best


def make_folder(folder: Path) -> None:
    """Make the run's folder; a place that cannot be written is known before the data is cut."""
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written: {error.strerror or error}; choose another folder with -o"
        ) from None
