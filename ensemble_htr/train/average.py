"""One network out of several trainings that began from the same weights: the mean of them all.

Run with ``python -m ensemble_htr.train.average models/crnn RUN RUN -o OUT --data DATA``, then put
OUT on the shelf with ``python -m ensemble_htr.train.shelve OUT models/crnn --continued``.

Short trainings from one beginning, unlike in their seeds or their data, err on different sides of a
good middle; the mean of their weights and of those that they began from can read better than any of
them and costs nothing when it reads (Izmailov et al., "Averaging weights leads to wider optima",
2018; Wortsman et al., "Model soups", 2022). They can run side by side.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from ensemble_htr.assets import sha256_file
from ensemble_htr.config import from_mapping
from ensemble_htr.errors import AssetError, EnsembleError, InputError
from ensemble_htr.files import atomic_write
from ensemble_htr.recognizers.weights import Weights, load_weights, save_weights
from ensemble_htr.train.loop import Trainer
from ensemble_htr.train.plot import read_log
from ensemble_htr.train.recipe import PasteOptions, Recipe
from ensemble_htr.train.verb import gather, make_folder, say_to_stderr

__all__ = ["average", "mean"]

Say = Callable[[str], None]


def average(
    first: Path, runs: Sequence[Path], out: Path, *, root: Path, packed: Path | None, say: Say
) -> float:
    """Write the mean of the weights in ``first`` and of the ``runs`` that began from them into
    ``out``, as a run that took the lines and the time of all. Returns its CER on val, lines with a
    letter (greedy, CTC). Raises `AssetError` for runs that began elsewhere or from other lines."""
    shelf = first / "model.safetensors"
    begun, known = sha256_file(shelf), load_weights(shelf)
    found = [load_weights(run / "model.safetensors") for run in runs]
    for run, weights in zip(runs, found, strict=True):
        if weights.facts.get("init") != begun:
            raise AssetError(f"{run}: did not begin from {shelf}; name the weights it began from")
        if weights.facts["data"] != found[0].facts["data"]:
            raise AssetError(f"{run}: was trained on other lines than {runs[0]}")
    tensors = mean([known, *found])
    recipe = from_mapping(found[0].facts["recipe"], Recipe, str(runs[0]))
    recipe = replace(recipe, train=replace(recipe.train, init=""), paste=PasteOptions())
    if (out / "last.pt").exists():
        raise InputError(f"{out} holds a run: give another folder with -o")
    make_folder(out)
    lines, val = gather(recipe, root, packed)
    trainer = Trainer(recipe, lines, val, out, say, known.alphabet)
    trainer.average |= {name: value.to(trainer.device) for name, value in tensors.items()}
    cer, letters = trainer.validate()
    _keep(out, found, runs, tensors, begun, cer, letters)
    say(f"{out}: the mean of {1 + len(runs)}: val CER {cer:.4f}  letters {letters:.4f}\n")
    return letters


def mean(all_: Sequence[Weights]) -> dict[str, Tensor]:
    """The mean of networks of one shape and alphabet, tensor by tensor, in fp32; what is counted
    (not a float) is the first's. Raises `AssetError` for networks that differ."""
    first = all_[0]
    for weights in all_[1:]:
        same = weights.alphabet == first.alphabet and weights.tensors.keys() == first.tensors.keys()
        if not same or any(v.shape != first.tensors[k].shape for k, v in weights.tensors.items()):
            raise AssetError("only networks of one shape and one alphabet have a mean")
    return {
        name: torch.stack([w.tensors[name].float() for w in all_]).mean(0)
        if value.dtype.is_floating_point
        else value
        for name, value in first.tensors.items()
    }


def _keep(
    out: Path, found: Sequence[Weights], runs: Sequence[Path], tensors: dict[str, Tensor],
    begun: str, cer: float, letters: float,
) -> None:  # fmt: skip
    """The weights and one row of a log: epochs, lines and seconds of all runs together."""
    logs = [read_log(run / "log.jsonl") for run in runs]
    last = [rows[-1] for rows in logs]
    progress: dict[str, Any] = dict(found[0].facts["progress"])
    progress |= {key: sum(row[key] for row in last) for key in ("epoch", "lines")}
    progress["step"] = sum(w.facts["progress"]["step"] for w in found)
    progress |= {"best": letters, "best_epoch": progress["epoch"]}
    of = [{"sha256": sha256_file(r / "model.safetensors"), "lines": x["lines"]} for r, x in
          zip(runs, last, strict=True)]  # fmt: skip
    facts = {**found[0].facts, "progress": progress, "init": begun, "mean": of}
    facts["recipe"]["train"]["init"] = ""  # the hash says it, wherever the file lay
    one = found[0]
    save_weights(
        out / "model.safetensors", tensors, architecture=one.architecture, network=one.network,
        alphabet=one.alphabet, profile=one.profile, facts=facts,
    )  # fmt: skip
    row = {"epoch": progress["epoch"], "loss": sum(x["loss"] for x in last) / len(last)}
    row |= {"val_cer": cer, "val_cer_letters": letters, "rate": max(x["rate"] for x in last)}
    row |= {"seconds": sum(x["seconds"] for x in last), "lines": progress["lines"]}
    row["lines_per_second"] = round(row["lines"] / max(row["seconds"], 1e-9), 1)
    atomic_write(out / "log.jsonl", json.dumps(row) + "\n")


_PLACE = click.Path(path_type=Path)


@click.command()
@click.argument("first", type=_PLACE)
@click.argument("runs", type=_PLACE, nargs=-1, required=True)
@click.option("-o", "--out", type=_PLACE, required=True)
@click.option("--data", type=_PLACE, required=True, help="Root of the data folders.")
@click.option("--packed", type=_PLACE, help="Lines packed with 'train --pack'.")
def main(first: Path, runs: tuple[Path, ...], out: Path, data: Path, packed: Path | None) -> None:
    """Average the RUNS that began from the weights in FIRST, and those."""
    try:
        average(first, runs, out, root=data, packed=packed, say=say_to_stderr)
    except EnsembleError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
