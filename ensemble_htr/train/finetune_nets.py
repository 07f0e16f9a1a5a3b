"""Recognizers that learn a user's hand from a few of its lines.

Nothing of what they were trained on is at hand, so forgetting is held off otherwise: they begin
from their own weights, with a low rate and few epochs, distorted copies of the lines, batch norms
that keep their statistics (few lines would make poor ones), an average of the weights, and an end
as soon as the lines held back read no better. In the end they go back towards the weights they came
from as far as the lines held back allow (Wortsman et al., "Robust fine-tuning of zero-shot models",
2022). The loop is that of every training (`train.loop`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ensemble_htr.config import from_mapping
from ensemble_htr.errors import AssetError, ConfigError, UsageError
from ensemble_htr.layout.preprocess import Preprocess
from ensemble_htr.recognizers.weights import Weights, load_weights, save_weights
from ensemble_htr.recognizers.zoo import build_network
from ensemble_htr.text import lettered, profile
from ensemble_htr.train.begin import begin_from
from ensemble_htr.train.data import Sample
from ensemble_htr.train.loop import Trainer
from ensemble_htr.train.recipe import AugmentOptions, DataOptions, Recipe, Source, TrainOptions

__all__ = ["TuneOptions", "tune", "tuning_recipe"]

LEAST_LINES = 240  # read in an epoch, distorted anew each time
ALL_LINES = 9000  # read in all, about
MOST_EPOCHS, LEAST_EPOCHS = 30, 8
# Peak rates of trainings from nothing: what went on from other weights had a lower one.
PEAKS = {"crnn": 2e-3, "gated": 1.5e-3, "transformer": 1e-3}
SHARES = (0.5, 0.625, 0.75, 0.875)  # of the way from the old weights to the tuned


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """How recognizers are tuned."""

    rate: float = 0.35  # of the peak rate that such a network is trained with from nothing
    epochs: int = 0  # at most; 0 = so many that about 9,000 lines are read, 8 to 30
    patience: int = 5  # epochs without better reading of the lines held back
    ema: float = 0.99
    frozen_norms: bool = True


def tuning_recipe(
    path: Path, lines: int, options: TuneOptions, steps: Preprocess, form: str
) -> Recipe:
    """The recipe that tunes the weights in ``path`` on so many ``lines``; of the recipe that they
    were trained with it keeps augmentation, batch size and seed. Raises `AssetError` for weights
    that cannot be read or describe no network."""
    weights = load_weights(path)
    try:
        network = build_network(weights.architecture, dict(weights.network), len(weights.alphabet))
    except UsageError as error:
        raise AssetError(f"{path}: the weights describe no network: {error}") from None
    augment, before = _history(weights)
    count = max(LEAST_LINES, lines)
    epochs = options.epochs or min(MOST_EPOCHS, max(LEAST_EPOCHS, round(ALL_LINES / count)))
    height = int(network.config.height)  # type: ignore[union-attr,arg-type]
    return Recipe(
        architecture=weights.architecture,
        network=dict(weights.network),
        data=DataOptions((Source("own"),), "own", form, max(48, height), rarest=1),
        augment=replace(augment, probability=max(0.6, augment.probability)),
        train=replace(
            before,
            epochs=epochs,
            lines_per_epoch=count,
            rate=options.rate * before.rate,
            final=0.01,
            warmup=0.1,
            auxiliary=0.0,  # the shortcut is not kept with the weights
            init=str(path),
            ema=options.ema,
            patience=options.patience,
            frozen_norms=options.frozen_norms,
            short_first=0.0,
            checkpoint_minutes=1.0,
        ),
        preprocess=steps,
    )


def _history(weights: Weights) -> tuple[AugmentOptions, TrainOptions]:
    """How the weights were trained, as far as they tell."""
    told = weights.facts.get("recipe")
    try:
        recipe = from_mapping(told, Recipe) if isinstance(told, dict) else None
    except ConfigError:
        recipe = None
    if recipe is None:
        return AugmentOptions(), replace(TrainOptions(), rate=1e-3)
    before = recipe.train
    if weights.facts.get("init") or before.frozen_norms:
        before = replace(before, rate=PEAKS[weights.architecture])
    return recipe.augment, before


def tune(
    path: Path,
    train: Sequence[Sample],
    held: Sequence[Sample],
    recipe: Recipe,
    folder: Path,
    say: Callable[[str], None],
    alphabet: Sequence[str] = (),
) -> tuple[float, float, int]:
    """Tune the weights in ``path`` in the run's ``folder``, or go on with it: greedy CER on
    ``held`` before and after, and the epoch that was best (0: none was better, nothing is written).

    Characters of the lines and of ``alphabet`` that the weights lack are added behind theirs.
    """
    known = load_weights(path).alphabet
    trainer = Trainer(
        recipe, train, held, folder, say, _joined(known, alphabet, train, recipe.data.profile)
    )
    trainer.hint = "the same command goes on"
    if not trainer.resume():
        trainer.begin()
    progress = trainer.run()
    if not progress.best_epoch:
        return progress.first, progress.best, 0
    return progress.first, _no_further_than_needed(trainer, path, say), progress.best_epoch


def _no_further_than_needed(trainer: Trainer, path: Path, say: Callable[[str], None]) -> float:
    """Put in the place of the tuned weights those on the straight line from ``path`` to them that
    are nearest to ``path`` and read the lines held back as well, within one standard error (a
    binomial's over their characters; the rule of Breiman et al., "Classification and regression
    trees", 1984); their CER on these. Weights that have moved less have forgotten less, and a few
    lines are learned by heart too soon. Less than half of the way would adapt too little."""
    file = trainer.folder / "model.safetensors"
    tuned = load_weights(file)
    if "share" in tuned.facts:  # a run that was stopped after this
        return _read(trainer, tuned.tensors)
    first, best = _first(trainer, path), trainer.progress.best
    for share in SHARES:
        tensors = {k: _between(first[k], v, share) for k, v in tuned.tensors.items()}
        cer = _read(trainer, tensors)
        if cer < trainer.progress.first and cer <= best + _standard_error(trainer, best):
            save_weights(
                file, tensors, architecture=tuned.architecture, network=tuned.network,
                alphabet=tuned.alphabet, profile=tuned.profile,
                facts={**tuned.facts, "share": share},
            )  # fmt: skip
            say(f"{share:.1%} of the way to these weights is enough: {100 * cer:.2f} %\n")
            return cer
    return best


def _standard_error(trainer: Trainer, cer: float) -> float:
    texts = [sample.text for sample in trainer.val]
    judged = itertools.compress(texts, lettered(texts))
    characters = max(1, sum(len(trainer.form.tokens(text)) for text in judged))
    return math.sqrt(max(0.0, cer * (1 - cer)) / characters)


def _first(trainer: Trainer, path: Path) -> dict[str, Tensor]:
    """What the run began from: of new characters the same random rows again."""
    recipe = trainer.recipe
    torch.manual_seed(recipe.train.seed)
    net = build_network(recipe.architecture, dict(recipe.network), len(trainer.alphabet))
    begin_from(path, net, trainer.alphabet)
    return net.state_dict()


def _read(trainer: Trainer, tensors: Mapping[str, Tensor]) -> float:
    """The CER of such weights on the lines held back."""
    trainer.average |= {name: value.to(trainer.device) for name, value in tensors.items()}
    return trainer.validate()[1]


def _between(first: Tensor, last: Tensor, share: float) -> Tensor:
    return torch.lerp(first.float(), last.float(), share) if last.is_floating_point() else last


def _joined(
    known: Sequence[str], more: Sequence[str], lines: Sequence[Sample], form: str
) -> tuple[str, ...]:
    tokens = profile(form).tokens
    seen = {token for line in lines for token in tokens(line.text)}
    return (*known, *sorted({*more, *seen} - set(known)))
