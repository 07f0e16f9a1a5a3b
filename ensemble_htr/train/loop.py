"""One training loop for every recognizer: what differs stands in the recipe.

AdamW with warm-up and cosine decay (Loshchilov & Hutter, 2019), CTC loss (Graves et al., 2006)
with an auxiliary head, for a network with a decoder also cross-entropy (the hybrid loss of Watanabe
et al., 2017), an exponential moving average of the weights that is what gets judged and
kept, early stopping on val, bf16 and channels_last where the machine has them. A run is a
function of (recipe, data): every random choice is drawn from (seed, epoch, batch), so that
``--resume`` continues as if nothing had happened.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ensemble_htr.assets import sha256_file
from ensemble_htr.config import to_mapping
from ensemble_htr.errors import AssetError, InputError
from ensemble_htr.metrics import Counts, edit_counts
from ensemble_htr.recognizers.inputs import has_fast_bf16, scale_to_height
from ensemble_htr.recognizers.weights import save_weights
from ensemble_htr.recognizers.zoo import build_network
from ensemble_htr.text import lettered, profile
from ensemble_htr.train.augment import augment
from ensemble_htr.train.begin import begin_from, decayed, learning, share_of_rate, weights_named
from ensemble_htr.train.checkpoint import UNLOADABLE, read_checkpoint, write_checkpoint
from ensemble_htr.train.data import Sample, alphabet_of, batches, data_hash, weights
from ensemble_htr.train.interrupts import interrupts
from ensemble_htr.train.losses import ctc, dictation, prefixes
from ensemble_htr.train.pasting import Paster
from ensemble_htr.train.plot import trim_log
from ensemble_htr.train.recipe import Recipe

__all__ = ["Trainer"]

Say = Callable[[str], None]


@dataclass
class Progress:
    """Where a run stands: everything but tensors."""

    epoch: int = 0
    step: int = 0  # optimizer steps done in all
    batch: int = 0  # batches done in this epoch
    best: float = math.inf  # val CER of the kept weights
    best_epoch: int = 0
    seconds: float = 0.0  # time spent training, over all resumptions
    lines: int = 0
    loss: float = 0.0  # sum over the lines read in this epoch so far
    seen: int = 0  # lines read in this epoch so far
    first: float = math.inf  # val CER of what the run began from, where `Trainer.begin` asked


class Trainer:
    """Trains ``recipe`` on ``train`` and keeps the best averaged weights in ``folder``; they write
    ``alphabet`` (None: the characters of ``train``). Texts to be pasted are looked for in ``root``.

    Files: ``model.safetensors`` (best so far, fp16), ``last.pt`` (checkpoint), ``log.jsonl``.
    Raises `InputError` for lines without a learnable character.
    """

    def __init__(
        self, recipe: Recipe, train: Sequence[Sample], val: Sequence[Sample], folder: Path,
        say: Say, alphabet: Sequence[str] | None = None, root: Path = Path(),
    ) -> None:  # fmt: skip
        options = recipe.train
        torch.set_num_threads(options.threads)
        cv2.setNumThreads(1)
        torch.manual_seed(options.seed)
        self.recipe, self.folder = recipe, folder
        self.say, self.hint = say, "go on with --resume"
        self.train, self.val = list(train), list(val)
        self.form = profile(recipe.data.profile)
        self.alphabet = tuple(alphabet or alphabet_of(train, recipe.data))
        if not self.alphabet:
            raise InputError(
                f"none of the {len(self.train)} training lines holds a character that is seen "
                f"{recipe.data.rarest} times (the recipe's data.rarest)"
            )
        self.code = {token: i + 1 for i, token in enumerate(self.alphabet)}
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.half = self.device.type == "cuda" or has_fast_bf16()
        network = build_network(recipe.architecture, dict(recipe.network), len(self.alphabet))
        self.net: Any = network.to(self.device)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config = cast(Any, network).config  # CrnnConfig, GatedConfig or TransformerConfig
        self.writes = hasattr(network, "decode")  # also character by character
        self.begun = ""  # sha256 of the weights that the run began from
        if options.init and not (folder / "last.pt").exists():
            path = weights_named(options.init)
            say(f"\n{begin_from(path, self.net, self.alphabet)}\n")
            self.begun = sha256_file(path)
        self.height: int = self.config.height
        self.stretch: float = self.config.stretch
        self.stride: int = self.config.pixels_per_frame
        self.average = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            decayed(self.net, options.decay), lr=options.rate, betas=(0.9, 0.98), fused=True
        )
        self.chance = weights(self.train, recipe.data)
        self.paster = Paster.of(recipe.paste, root, self.form, self.alphabet)
        self.progress = Progress()
        self.steps_per_epoch = self._count_steps()

    # ---- the run -------------------------------------------------------------------------

    def run(self, deadline: float | None = None) -> Progress:
        """Train to the end, to early stopping, or until ``deadline`` (``time.time()`` seconds).

        Ctrl-C saves a checkpoint after the batch at hand, then raises `KeyboardInterrupt` that
        says how to go on.
        """
        p, options = self.progress, self.recipe.train
        saved = time.time()
        trim_log(self.folder / "log.jsonl", p.epoch)
        with interrupts() as interrupted:
            while self._unfinished():
                learning(self.net, self.recipe.train.frozen_norms)
                started, before = time.time(), p.seen
                for number, indices in enumerate(self._epoch(p.epoch)):
                    if number < p.batch:
                        continue
                    begin = time.time()
                    p.loss += self._step(indices, number) * len(indices)
                    p.seen, p.lines = p.seen + len(indices), p.lines + len(indices)
                    p.batch, p.step = number + 1, p.step + 1
                    p.seconds += time.time() - begin
                    if number % 20 == 0:
                        self._show((p.seen - before) / max(time.time() - started, 1e-9))
                    late = deadline is not None and time.time() > deadline
                    stop = late or bool(interrupted)
                    if stop or time.time() - saved > 60 * options.checkpoint_minutes:
                        self.save()
                        saved = time.time()
                    if stop:
                        kept = f"the checkpoint is saved, {self.hint}"
                        self.say("\n" if interrupted else f"\ntime is up; {kept}\n")
                        if interrupted:
                            raise KeyboardInterrupt(kept)
                        return p
                loss = p.loss / max(p.seen, 1)
                p.epoch, p.batch, p.loss, p.seen = p.epoch + 1, 0, 0.0, 0
                self._end_of_epoch(loss)
                self.save()
                saved = time.time()
        return p

    def begin(self) -> None:
        """Take what the run begins from as the best so far: only better weights are kept."""
        self.progress.best = self.progress.first = self.validate()[1]
        self.save()

    def _unfinished(self) -> bool:
        p, options = self.progress, self.recipe.train
        return p.epoch < options.epochs and p.epoch - p.best_epoch < options.patience

    def _epoch(self, epoch: int) -> Any:
        options = self.recipe.train
        rng = np.random.default_rng([options.seed, epoch])
        scale = self.recipe.data.height / self.height / self.stretch
        width = round(options.batch_pixels * scale)
        chance = self.chance
        if epoch < options.short_first:
            widths = np.array([s.image.shape[1] for s in self.train])
            chance = np.where(widths <= np.median(widths), chance, 0.0)
            chance = chance / chance.sum()
        return batches(self.train, chance, options.lines_per_epoch, width, rng)

    def _count_steps(self) -> int:
        late = math.ceil(self.recipe.train.short_first)
        return sum(1 for _ in self._epoch(late))

    def _step(self, indices: Any, number: int) -> float:
        options, p = self.recipe.train, self.progress
        rng = np.random.default_rng([options.seed, p.epoch, number, 1])
        torch.manual_seed(int(rng.integers(2**62)))  # dropout
        chosen = [self.train[i] for i in indices]
        images = [augment(s.image, self.recipe.augment, rng) for s in chosen]
        rate = self._rate(p.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        inputs, frames = self._tensor(images)
        targets, lengths = self._targets(chosen)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            columns = self.net.columns(inputs)
            aside = self.net.shortcut(columns).transpose(1, 2) if options.auxiliary else None
        loss, log_p, each = self._loss(columns, frames, targets, lengths, rng)
        if aside is not None:
            loss = loss + options.auxiliary * ctc(aside, frames, targets, lengths)[1].mean()
        if self.paster is not None:
            if (pasted := self.paster.lines(columns, rng)) is not None:
                loss = loss + self.recipe.paste.weight * self._loss(*pasted, rng)[0]
            hands, rows = [s.hand for s in chosen], torch.split(targets, lengths.tolist())
            self.paster.learn(hands, columns, log_p, each, frames, rows, p.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), options.clip)
        self.optimizer.step()
        self._accumulate()
        return float(loss.detach())

    def _loss(
        self, columns: Tensor, frames: Tensor, targets: Tensor, lengths: Tensor,
        rng: np.random.Generator,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """The loss of what stands above the CNN; also the CTC log-probabilities ``(T, B, 1+V)``
        and the CTC loss per character of each line ``(B,)``."""
        options, wanted = self.recipe.train, None
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            if self.writes:
                symbols = len(self.alphabet)
                prefix, wanted = prefixes(targets, lengths, symbols, options.wrong_prefix, rng)
                heard, said = self.net.above(columns, frames, prefix.to(self.device))
            else:
                heard = self.net.above(columns)
        log_p, each = ctc(heard, frames, targets, lengths)
        loss = each.mean()
        if wanted is not None:
            missed = dictation(said, wanted.to(self.device), options.smoothing)
            loss = loss + options.attention * missed
        return loss, log_p, each

    def _rate(self, step: int) -> float:
        o = self.recipe.train
        total = max(1, self.steps_per_epoch * o.epochs)
        return o.rate * share_of_rate(step, total, o.warmup, o.final)

    @torch.no_grad()
    def _accumulate(self) -> None:
        decay = min(self.recipe.train.ema, (1 + self.progress.step) / (10 + self.progress.step))
        for name, value in self.net.state_dict().items():
            if value.dtype.is_floating_point:
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    # ---- tensors -------------------------------------------------------------------------

    def _tensor(self, images: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Pad to one width: ``float (B, 1, height, W)`` in [0, 1] and frames per line ``(B,)``."""
        scaled = [scale_to_height(image, self.height, self.stretch) for image in images]
        width = max(16, max(i.shape[1] for i in scaled))
        width = math.ceil(width / 16) * 16
        batch = np.zeros((len(scaled), 1, self.height, width), np.uint8)
        for row, image in zip(batch, scaled, strict=True):
            row[0, :, : image.shape[1]] = image
        inputs = torch.from_numpy(batch).to(self.device).float() / 255.0
        frames = torch.tensor([math.ceil(i.shape[1] / self.stride) for i in scaled])
        return inputs.contiguous(memory_format=torch.channels_last), frames

    def _targets(self, samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        texts = [self.form.tokens(sample.text) for sample in samples]
        coded = [[self.code[t] for t in text if t in self.code] for text in texts]
        flat = torch.tensor([c for row in coded for c in row], dtype=torch.long)
        return flat, torch.tensor([len(row) for row in coded])

    # ---- judging and keeping -------------------------------------------------------------

    def _end_of_epoch(self, loss: float) -> None:
        p = self.progress
        cer, letters = self.validate()
        row = {"epoch": p.epoch, "loss": loss, "val_cer": cer, "val_cer_letters": letters}
        row |= {"rate": self._rate(p.step), "seconds": round(p.seconds, 3), "lines": p.lines}
        row["lines_per_second"] = round(p.lines / max(p.seconds, 1e-9), 1)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        better = letters < p.best
        mark = " (best)" if better else ""
        self.say(
            f"\repoch {p.epoch}/{self.recipe.train.epochs}  loss {loss:.3f}  "
            f"val CER {cer:.4f}  letters {letters:.4f}{mark}  {row['lines_per_second']} lines/s\n"
        )
        if better:
            p.best, p.best_epoch = letters, p.epoch
            self.keep()

    @torch.inference_mode()
    def validate(self) -> tuple[float, float]:
        """Greedy CER of the averaged weights on val: all lines, lines with a letter (all lines
        again where none has one)."""
        self.net.eval()
        own = {k: v.clone() for k, v in self.net.state_dict().items()}
        self.net.load_state_dict(self.average)
        order = sorted(range(len(self.val)), key=lambda i: self.val[i].image.shape[1])
        judged = lettered([sample.text for sample in self.val])
        every, letters = Counts(), Counts()
        for start in range(0, len(order), 16):
            chosen = order[start : start + 16]
            inputs, frames = self._tensor([self.val[i].image for i in chosen])
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                logits = (self.net(inputs, frames) if self.writes else self.net(inputs))[0]
            best = logits.float().argmax(-1).cpu().numpy()
            for i, row, count in zip(chosen, best, frames.tolist(), strict=True):
                row = row[:count]
                kept = row[(row != 0) & (row != np.r_[0, row[:-1]])]
                read = self.form.tokens("".join(self.alphabet[c - 1] for c in kept))
                counts = edit_counts(self.form.tokens(self.val[i].text), read)
                every += counts
                if judged[i]:
                    letters += counts
        self.net.load_state_dict(own)
        learning(self.net, self.recipe.train.frozen_norms)
        return every.rate, letters.rate

    def keep(self) -> None:
        """Write the averaged weights as the run's product. Nothing in it comes from a clock: the
        same recipe on the same lines gives the same bytes."""
        progress = asdict(self.progress)
        del progress["seconds"], progress["first"]  # of the clock; of no use to a reader
        facts = {
            "recipe": to_mapping(self.recipe),
            "data": data_hash(self.train),
            "progress": progress,
            "init": self.begun,
        }
        if self.paster is not None:
            facts["texts"] = self.paster.texts.sha256
        save_weights(
            self.folder / "model.safetensors",
            {k: v for k, v in self.average.items() if not k.startswith("shortcut.")},
            architecture=self.recipe.architecture,
            network=asdict(self.config),
            alphabet=self.alphabet,
            profile=self.recipe.data.profile,
            facts=facts,
        )

    def save(self) -> None:
        """Write the checkpoint; raises `OutputError`."""
        state = {
            "net": self.net.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "progress": asdict(self.progress),
            "alphabet": list(self.alphabet),
            "steps_per_epoch": self.steps_per_epoch,
            "data": data_hash(self.train),
            "init": self.begun,
        }
        if self.paster is not None:
            state["bank"] = self.paster.bank.state()
        write_checkpoint(self.folder, state)

    def resume(self) -> bool:
        """Load the checkpoint if there is one; raises `AssetError` if it is damaged, or of other
        lines or another network."""
        path = self.folder / "last.pt"
        if not path.exists():
            return False
        try:
            state = read_checkpoint(self.folder, self.device)
            if state["alphabet"] != list(self.alphabet) or state["data"] != data_hash(self.train):
                raise AssetError(f"{path}: the checkpoint was made from other training lines")
            self.net.load_state_dict(state["net"])
            self.average = {k: v.to(self.device) for k, v in state["average"].items()}
            self.optimizer.load_state_dict(state["optimizer"])
            self.progress = Progress(**state["progress"])
            self.steps_per_epoch = int(state["steps_per_epoch"])
            self.begun = str(state.get("init", ""))
            if self.paster is not None and "bank" in state:
                self.paster.bank.restore(state["bank"])
        except UNLOADABLE as error:
            raise AssetError(
                f"{path}: the checkpoint is damaged or of another network "
                f"({str(error)[:120] or type(error).__name__}); start afresh in another folder"
            ) from None
        return True

    def _show(self, speed: float) -> None:
        p, o = self.progress, self.recipe.train
        left = self.steps_per_epoch * (o.epochs - p.epoch) - p.batch
        pace = p.seconds / max(p.step, 1)
        self.say(
            f"\repoch {p.epoch + 1}/{o.epochs}  batch {p.batch}/~{self.steps_per_epoch}  "
            f"loss {p.loss / max(p.seen, 1):.3f}  {speed:.0f} lines/s  "
            f"ETA {left * pace / 60:.0f} min   "
        )
