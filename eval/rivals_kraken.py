"""kraken's side of `rivals.py`: runs in kraken's own environment and never imports ensemble_htr.

    PYTHON rivals_kraken.py train FOLDER --hours H      trains the default recognizer, resumes
    PYTHON rivals_kraken.py read FOLDER LIST OUT        reads images of lines, one JSON row each

torchvision's published wheels are made for CUDA builds of torch. Beside a CPU build the operators
that they register fail to load; their names are declared here before kraken is imported (it never
calls them).

Checkpoints hold three classes of kraken's beside tensors: those are named, and nothing else in a
file is ever made (`weights_only`).
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

SEED = 11
BATCH, PRECISION = 8, "bf16-mixed"  # see `train`
STRETCH = 500  # lines between two checkpoints, an "epoch" of Lightning's
CHECKED = 200  # lines of val that the curve is drawn from
EVERY = 8  # stretches between two checks of val


NAMES = (
    "nms", "qnms", "roi_align", "qroi_align", "_roi_align_backward", "roi_pool",
    "_roi_pool_backward", "ps_roi_align", "_ps_roi_align_backward", "ps_roi_pool",
    "_ps_roi_pool_backward", "deform_conv2d", "_deform_conv2d_backward",
)  # fmt: skip


def declare_operators() -> None:
    """The operators that torchvision's Python half names while it is imported; none is ever
    called, so what they take and give does not matter."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in NAMES:
        library.define(f"{name}(Tensor a) -> Tensor")
    globals()["_LIBRARY"] = library  # as long as it lives, they are known


def known_classes() -> Any:
    """A context in which the classes of kraken's checkpoints, and no others, are loaded."""
    import torch
    from kraken.configs.vgsl import (
        VGSLRecognitionTrainingConfig,
        VGSLRecognitionTrainingDataConfig,
    )
    from kraken.lib.codec import PytorchCodec

    known = [PytorchCodec, VGSLRecognitionTrainingConfig, VGSLRecognitionTrainingDataConfig]
    return torch.serialization.safe_globals(known)


class Budget:
    """Processor seconds and lines of a training, those of earlier stretches included: training
    counts, checking val is counted apart. What an interruption loses is not counted."""

    def __init__(
        self, log: Sequence[Mapping[str, Any]], clock: Callable[[], float] = time.process_time
    ) -> None:
        last = log[-1] if log else {"seconds": 0.0, "checking": 0.0, "lines": 0}
        self.spent, self.checking = float(last["seconds"]), float(last["checking"])
        self.lines, self._clock, self._mark = int(last["lines"]), clock, clock()

    def skip(self) -> None:
        """What went by since the last call was neither."""
        self._mark = self._clock()

    def trained(self, lines: int = 0) -> None:
        self.spent += self._lap()
        self.lines += lines

    def checked(self) -> None:
        self.checking += self._lap()

    def _lap(self) -> float:
        now = self._clock()
        lap, self._mark = now - self._mark, now
        return lap


def sample(listed: Sequence[str]) -> list[str]:
    """The lines of val that the curve is drawn from, always the same."""
    return random.Random(SEED).sample(listed, min(CHECKED, len(listed)))


def rows_of(log: Path) -> list[dict[str, Any]]:
    """The rows of a log; a last one that was not written to its end is cut off."""
    text = log.read_text(encoding="utf-8") if log.is_file() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        log.write_text(whole, encoding="utf-8")
    return [json.loads(row) for row in whole.splitlines()]


def train(folder: Path, hours: float) -> None:
    """Train on ``folder/train.txt`` (paths of images with ``.gt.txt``) until ``hours`` of this
    process's processor time, those of earlier runs included, are spent on it. The time of checking
    val is counted apart. Default network and options, but for what makes the most of the hours on
    a processor with bf16: eight lines a step instead of one, of like widths and padded to one (its
    recurrent layers are slow to learn from lines of several lengths), kraken's own
    ``--precision bf16-mixed``, images with channels last."""
    import torch
    from kraken.configs import VGSLRecognitionTrainingConfig, VGSLRecognitionTrainingDataConfig
    from kraken.train import KrakenTrainer
    from kraken.train.vgsl import VGSLRecognitionDataModule, VGSLRecognitionModel
    from lightning.pytorch.callbacks import Callback, ModelCheckpoint
    from PIL import Image
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)
    torch.manual_seed(SEED + int(time.time()))
    random.seed(int(time.time()))
    last, log = folder / "run" / "last.ckpt", folder / "run" / "log.jsonl"
    budget = Budget(rows_of(log))
    if budget.spent >= 3600 * hours:
        return

    class Count(Callback):
        """Counts lines and processor time, logs, ends the training."""

        loss = 0.0

        def on_train_start(self, trainer, module) -> None:  # type: ignore[no-untyped-def]
            module.net.nn.to(memory_format=torch.channels_last)
            budget.skip()

        def on_train_batch_end(self, trainer, module, outputs, batch, number) -> None:  # type: ignore[no-untyped-def]
            budget.trained(len(batch["target_lens"]))
            loss = outputs["loss"] if isinstance(outputs, dict) else outputs
            self.loss += float(loss) / STRETCH  # a sum over the lines of a step

        def on_validation_start(self, trainer, module) -> None:  # type: ignore[no-untyped-def]
            budget.trained()

        def on_validation_end(self, trainer, module) -> None:  # type: ignore[no-untyped-def]
            budget.checked()
            self._log(float(trainer.callback_metrics["val_accuracy"]))

        def on_train_epoch_end(self, trainer, module) -> None:  # type: ignore[no-untyped-def]
            trainer.save_checkpoint(last.with_suffix(".part"))
            os.replace(last.with_suffix(".part"), last)
            budget.trained()
            self._log(None)
            self.loss = 0.0
            if budget.spent >= 3600 * hours:
                trainer.should_stop = True

        def _log(self, accuracy: float | None) -> None:
            row = {"lines": budget.lines, "seconds": round(budget.spent, 1), "loss": self.loss,
                   "checking": round(budget.checking, 1)}  # fmt: skip
            if accuracy is not None:
                row["val_accuracy"] = accuracy
            with open(log, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), file=sys.stderr, flush=True)

    class Data(VGSLRecognitionDataModule):
        """kraken's data, drawn anew each stretch in steps of lines of like widths."""

        def train_dataloader(self) -> DataLoader:  # type: ignore[type-arg]
            return DataLoader(self.train_set, batch_sampler=_Steps(widths), collate_fn=_padded)

    listed = _listed(folder / "train.txt")
    widths = [Image.open(path).width for path in listed]
    (folder / "run").mkdir(parents=True, exist_ok=True)
    kind = VGSLRecognitionTrainingDataConfig
    data = kind(
        training_data=listed,
        evaluation_data=sample(_listed(folder / "val.txt")),
        format_type="path",
        linetype="baselines",  # the lines were straightened along their baselines
        num_workers=0,
        normalization="NFC",
    )
    config = VGSLRecognitionTrainingConfig(quit="fixed", epochs=1 << 20, batch_size=BATCH)
    keep = ModelCheckpoint(
        dirpath=folder / "run", monitor="val_metric", mode="max", save_top_k=1,
        filename="best", enable_version_counter=False,
    )  # fmt: skip
    trainer = KrakenTrainer(
        accelerator="cpu", devices=1, precision=PRECISION, max_epochs=1 << 20,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        gradient_clip_val=config.gradient_clip_val, limit_train_batches=STRETCH // BATCH,
        check_val_every_n_epoch=EVERY, callbacks=[Count(), keep],
    )  # fmt: skip
    module = Data(data)
    if last.is_file():
        with known_classes():
            load = VGSLRecognitionModel.load_from_checkpoint
            model = load(last, config=config, weights_only=True)
            trainer.fit(model, module, ckpt_path=str(last), weights_only=True)
    else:
        with trainer.init_module(empty_init=True):
            model = VGSLRecognitionModel(config)
        trainer.fit(model, module)


class _Steps:
    """Numbers of lines in steps of `BATCH`: all lines once, in an order drawn anew at each pass,
    lines of like widths together."""

    def __init__(self, widths: Sequence[int]) -> None:
        self._widths = widths

    def __len__(self) -> int:
        return -(-len(self._widths) // BATCH)

    def __iter__(self) -> Iterator[list[int]]:
        order = sorted(range(len(self._widths)), key=lambda i: (self._widths[i], random.random()))
        steps = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
        random.shuffle(steps)
        yield from steps


def _padded(lines: Any) -> Any:
    """kraken's batch of lines, the paper that pads them taken as theirs."""
    from kraken.lib.dataset import collate_sequences

    batch = collate_sequences(lines)
    batch["seq_lens"][:] = batch["image"].shape[3]
    return batch


def read(folder: Path, listed: Path, out: Path) -> None:
    """Read the images that ``listed`` names with the weights that were best on val (the last ones
    before val is checked); greedy, as kraken does. A row has the text, and processor seconds where
    the network is at work."""
    import torch
    from kraken.configs import RecognitionInferenceConfig
    from kraken.lib.dataset import ImageInputTransforms
    from kraken.train.vgsl import VGSLRecognitionModel
    from PIL import Image

    torch.set_num_threads(1)
    best, last = folder / "run" / "best.ckpt", folder / "run" / "last.ckpt"
    with known_classes():
        chosen = best if best.is_file() else last
        model = VGSLRecognitionModel.load_from_checkpoint(chosen, weights_only=True)
    net = model.net.eval()
    _, channels, height, width = net.input
    shaped = ImageInputTransforms(1, height, width, channels, (16, 0), valid_norm=False)
    decode = RecognitionInferenceConfig().decoder
    with open(out, "w", encoding="utf-8") as file, torch.inference_mode():
        for path in _listed(listed):
            image = Image.open(path).convert("L")
            begun = time.process_time()
            ready = shaped(image)[None]
            said, lengths = net(ready, torch.tensor([ready.shape[3]]))
            (found,) = decode(said.squeeze(2), lengths)
            text = "".join(c[0] for c in net.codec.decode(found))
            seconds = time.process_time() - begun
            file.write(json.dumps({"text": text, "seconds": seconds}, ensure_ascii=False) + "\n")


def _listed(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


if __name__ == "__main__":
    declare_operators()
    verb, place, *rest = sys.argv[1:]
    if verb == "train":
        train(Path(place), float(rest[rest.index("--hours") + 1]))
    else:
        read(Path(place), Path(rest[0]), Path(rest[1]))
