"""The language module of a transformer: what texts alone teach it.

``python -m ensemble_htr.train.language learn RECIPE --for models/transformer -o RUN --data DATA``
trains a module for the alphabet of those weights (``--resume`` goes on), ``join RUN
models/transformer`` puts it into them. It learns to say the next character of a line of text, by
cross-entropy, with AdamW, warm-up and a cosine down to nothing (Loshchilov & Hutter, 2019), no
dropout: nearly every text is met once. It never sees an image, so it can be trained beside the
network that it is for, and put into any other state of it. A run is a function of (recipe, texts):
every random choice is drawn from (seed, step).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ensemble_htr.config import from_mapping, load_toml, to_mapping
from ensemble_htr.errors import AssetError, EnsembleError, InputError
from ensemble_htr.files import atomic_write
from ensemble_htr.lm.corpus import read_texts
from ensemble_htr.recognizers.inputs import has_fast_bf16
from ensemble_htr.recognizers.transformer import Language, Transformer
from ensemble_htr.recognizers.weights import Weights, load_weights, save_weights
from ensemble_htr.recognizers.zoo import build_network
from ensemble_htr.text import profile
from ensemble_htr.train.begin import decayed, share_of_rate
from ensemble_htr.train.checkpoint import UNLOADABLE, read_checkpoint, write_checkpoint
from ensemble_htr.train.interrupts import interrupts
from ensemble_htr.train.losses import dictation, prefixes
from ensemble_htr.train.pasting import Texts
from ensemble_htr.train.recipe import PastedText
from ensemble_htr.train.shelve import describe
from ensemble_htr.train.verb import make_folder, say_to_stderr

__all__ = ["LanguageRecipe", "join", "learn"]

RECIPE, LOG = "language.toml", "language.jsonl"  # beside the weights
_PREFIX = "language."  # of the module's tensors in the transformer's weights
_SAVED = 120.0  # seconds between checkpoints
_SHOWN = 50  # steps between two words on the terminal


@dataclass(frozen=True, slots=True)
class LanguageRecipe:
    """Everything that decides how a language module comes out."""

    texts: tuple[PastedText, ...]
    val: str  # folder of pages or text file: the nats a character that the log tells
    layers: int = 2
    steps: int = 10_000
    lines: int = 64  # of text in one step
    rate: float = 2e-3  # peak learning rate (AdamW)
    warmup: float = 0.02  # share of all steps
    decay: float = 0.01  # weight decay
    clip: float = 1.0  # largest gradient norm
    wrong: float = 0.02  # share of the characters before that it is shown wrongly
    every: int = 500  # steps between two rows of the log
    seed: int = 1
    threads: int = 1

    def __post_init__(self) -> None:
        if not self.texts:
            raise ValueError("it names no texts")
        for name in ("layers", "steps", "lines", "every", "threads"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} is {value}, wanted 1 or more")
        for name in ("rate", "clip"):
            if not 0 < (value := getattr(self, name)) < math.inf:
                raise ValueError(f"{name} is {value}, wanted more than 0")
        if not (0 <= self.warmup < 1 and 0 <= self.wrong < 1 and 0 <= self.decay < math.inf):
            raise ValueError("warmup and wrong must lie in 0 to 1, decay must not be negative")


class _Run:
    """A module on its way: `train` goes on from where it stands."""

    def __init__(self, recipe: LanguageRecipe, known: Weights, root: Path, folder: Path) -> None:
        torch.set_num_threads(recipe.threads)
        torch.manual_seed(recipe.seed)
        if known.architecture != "transformer":
            raise AssetError(f"a {known.architecture} has no decoder for a language module to help")
        self.recipe, self.folder, self.alphabet = recipe, folder, list(known.alphabet)
        self.symbols = len(known.alphabet)
        sizes = {**known.network, "language": recipe.layers}
        network = build_network(known.architecture, sizes, self.symbols)
        assert isinstance(network, Transformer) and network.language is not None
        self.where = network.where
        self.module: Language = network.language
        self.half = has_fast_bf16()
        form = profile(known.profile)
        self.texts = Texts(recipe.texts, root, form, known.alphabet)
        code = {token: i + 1 for i, token in enumerate(known.alphabet)}
        held = [line for text in read_texts([root / recipe.val], form) for line in text.lines]
        self.val = [np.array([code[t] for t in line if t in code], np.int16) for line in held]
        groups = decayed(self.module, recipe.decay)
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98), fused=True)
        self.step, self.seconds, self.lines, self.characters = 0, 0.0, 0, 0

    def train(self) -> None:
        """To the last step; Ctrl-C saves and raises `KeyboardInterrupt`."""
        o, saved, loss, since = self.recipe, time.time(), 0.0, 0
        with interrupts() as interrupted:
            while self.step < o.steps:
                begin = time.time()
                loss, since = loss + self._learn(), since + 1
                self.step += 1
                self.seconds += time.time() - begin
                if self.step % _SHOWN == 0:
                    self._show(loss / since)
                if self.step % o.every == 0 or self.step == o.steps:
                    self._log(loss / since)
                    loss, since = 0.0, 0
                if interrupted or self.step == o.steps or time.time() - saved > _SAVED:
                    self.save()
                    saved = time.time()
                if interrupted and self.step < o.steps:
                    raise KeyboardInterrupt("the checkpoint is saved, go on with --resume")

    def _learn(self) -> float:
        o = self.recipe
        rng = np.random.default_rng([o.seed, self.step])
        texts = self.texts.draw(o.lines, rng)
        for group in self.optimizer.param_groups:
            group["lr"] = o.rate * share_of_rate(self.step, o.steps, o.warmup, 0.0)
        loss = self._loss(texts, o.wrong, rng)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), o.clip)
        self.optimizer.step()
        self.lines += len(texts)
        self.characters += sum(map(len, texts))
        return float(loss.detach())

    def _loss(
        self, texts: Sequence[NDArray[np.int16]], wrong: float, rng: np.random.Generator
    ) -> Tensor:
        """Nats a character (ends of lines count as one) of texts ``i`` of codes ``(L_i,)``."""
        lengths = torch.tensor([len(text) for text in texts])
        flat = torch.from_numpy(np.concatenate(texts).astype(np.int64))
        shown, wanted = prefixes(flat, lengths, self.symbols, wrong, rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            said, _ = self.module(shown, self.where(shown.shape[1]))
        return dictation(said, wanted, 0.0)

    @torch.inference_mode()
    def judge(self) -> float:
        """Nats a character on val."""
        order, rng = sorted(self.val, key=len), np.random.default_rng(0)
        total = count = 0.0
        for start in range(0, len(order), 64):
            texts = order[start : start + 64]
            size = sum(map(len, texts)) + len(texts)
            total += float(self._loss(texts, 0.0, rng)) * size
            count += size
        return total / count

    # ---- keeping -------------------------------------------------------------------------

    def _log(self, loss: float) -> None:
        row: dict[str, Any] = {"step": self.step, "loss": round(loss, 4)}
        row |= {"val": round(self.judge(), 4), "lines": self.lines, "characters": self.characters}
        row["seconds"] = round(self.seconds, 1)
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        say_to_stderr(f"\rstep {self.step}  loss {loss:.3f}  val {row['val']:.4f} nats" + " " * 20)
        say_to_stderr("\n")

    def _show(self, loss: float) -> None:
        left = (self.recipe.steps - self.step) * self.seconds / self.step / 60
        pace = self.lines / max(self.seconds, 1e-9)
        say_to_stderr(
            f"\rstep {self.step}/{self.recipe.steps}  loss {loss:.3f}  {pace:.0f} lines/s  "
            f"ETA {left:.0f} min   "
        )

    def save(self) -> None:
        """Write the checkpoint; raises `OutputError`."""
        state = {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "at": [self.step, self.seconds, self.lines, self.characters],
            "recipe": json.dumps(to_mapping(self.recipe)),
            "texts": self.texts.sha256,
            "alphabet": self.alphabet,
        }
        write_checkpoint(self.folder, state)

    def resume(self) -> None:
        """Take up the checkpoint; raises `AssetError` if it is damaged or of another recipe."""
        path = self.folder / "last.pt"
        try:
            state = read_checkpoint(self.folder)
            same = state["recipe"] == json.dumps(to_mapping(self.recipe))
            same = same and state["alphabet"] == self.alphabet
            if not same or state["texts"] != self.texts.sha256:
                raise AssetError(f"{path}: is of another recipe, alphabet, or of other texts")
            self.module.load_state_dict(state["module"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds, self.lines, self.characters = state["at"]
        except UNLOADABLE as error:
            raise AssetError(
                f"{path}: the checkpoint is damaged ({str(error)[:120] or type(error).__name__}); "
                "start afresh in another folder"
            ) from None
        rows = [row for row in _rows(self.folder / LOG) if row["step"] <= self.step]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        atomic_write(self.folder / LOG, text)


def learn(
    recipe_path: Path, known: Path, folder: Path, *, root: Path, resume: bool = False
) -> float:
    """Train a language module for the weights in the folder ``known``; returns the nats a character
    on val. Raises `InputError` where ``folder`` holds a run that is not to be resumed."""
    recipe = load_toml(recipe_path, LanguageRecipe)
    begun = (folder / "last.pt").exists()
    if begun and not resume:
        raise InputError(f"{folder} holds a run already: give --resume or another folder")
    make_folder(folder)
    run = _Run(recipe, load_weights(known / "model.safetensors"), root, folder)
    if begun:
        run.resume()
    count = sum(p.numel() for p in run.module.parameters())
    size = sum(map(len, run.texts.sources))
    say_to_stderr(f"{count / 1e6:.2f} M parameters, {size} lines of text\n")
    run.train()
    return run.judge()


def join(run: Path, folder: Path) -> None:
    """Put the finished module of ``run`` into the weights on the shelf ``folder``, in place of one
    that they have. Raises `AssetError` for a run that is not finished, of another alphabet, or made
    from another recipe than the one that lies there."""
    known = load_weights(folder / "model.safetensors")
    try:
        state = read_checkpoint(run)
        words = json.loads(state["recipe"])
        recipe = from_mapping(words, LanguageRecipe, str(run))
        step, _, lines, characters = state["at"]
        module, alphabet = dict(state["module"]), tuple(state["alphabet"])
    except UNLOADABLE as error:
        raise AssetError(f"{run}: holds no language module ({str(error)[:120]})") from None
    if step < recipe.steps:
        raise AssetError(f"{run}: stopped after {step} of {recipe.steps} steps; --resume it first")
    if recipe != load_toml(folder / RECIPE, LanguageRecipe):
        raise AssetError(f"{folder / RECIPE}: is not the recipe that {run} was made from")
    if alphabet != known.alphabet:
        raise AssetError(f"{run}: was made for another alphabet than {folder}'s")
    tensors = {k: v for k, v in known.tensors.items() if not k.startswith(_PREFIX)}
    tensors |= {_PREFIX + name: value for name, value in module.items()}
    rows = _rows(run / LOG)
    said = {"recipe": words, "texts": state["texts"], "lines": lines, "characters": characters}
    said |= {"val": rows[-1]["val"]}
    path = folder / "model.safetensors"
    save_weights(
        path, tensors, architecture=known.architecture,
        network={**known.network, "language": recipe.layers}, alphabet=known.alphabet,
        profile=known.profile, facts={**known.facts, "language": said},
    )  # fmt: skip
    atomic_write(folder / LOG, "".join(json.dumps(row) + "\n" for row in rows))
    describe(folder, load_weights(path))


def _rows(log: Path) -> list[dict[str, Any]]:
    """The rows of a module's log; none where there is no log."""
    if not log.exists():
        return []
    return [json.loads(row) for row in log.read_text(encoding="utf-8").splitlines() if row]


_PLACE = click.Path(path_type=Path)


@click.group()
def main() -> None:
    """Teach a transformer's language module, and put it into the weights."""


@main.command("learn")
@click.argument("recipe", type=_PLACE)
@click.option("--for", "known", type=_PLACE, required=True, help="Folder of the weights it is for.")
@click.option("-o", "--out", type=_PLACE, required=True)
@click.option("--data", type=_PLACE, required=True, help="Root of the data folders.")
@click.option("--resume", is_flag=True, help="Go on with the run in OUT.")
def _learn(recipe: Path, known: Path, out: Path, data: Path, resume: bool) -> None:
    """Train a module as RECIPE says."""
    try:
        learn(recipe, known, out, root=data, resume=resume)
    except EnsembleError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt as stopped:
        raise click.ClickException(str(stopped) or "interrupted") from None


@main.command("join")
@click.argument("run", type=_PLACE)
@click.argument("folder", type=_PLACE)
def _join(run: Path, folder: Path) -> None:
    """Put the module of RUN into the weights in FOLDER."""
    try:
        join(run, folder)
    except EnsembleError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{folder}: joined")


if __name__ == "__main__":
    main()
