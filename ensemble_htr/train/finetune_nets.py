"""Recognizers that learn a user's hand from a few of its lines.

Nothing of what they were trained on is at hand, so forgetting is held off otherwise: they begin
from their own weights, with a low rate and few epochs, distorted copies of the lines, batch norms
that keep their statistics (few lines would make poor ones), an average of the weights, and an end
as soon as the lines held back read no better. The loop is that of every training (`train.loop`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ensemble_htr.config import from_mapping
from ensemble_htr.errors import AssetError, ConfigError, UsageError
from ensemble_htr.layout.preprocess import Preprocess
from ensemble_htr.recognizers.weights import Weights, load_weights
from ensemble_htr.recognizers.zoo import build_network
from ensemble_htr.text import profile
from ensemble_htr.train.data import Sample
from ensemble_htr.train.loop import Trainer
from ensemble_htr.train.recipe import AugmentOptions, DataOptions, Recipe, Source, TrainOptions

__all__ = ["TuneOptions", "tune", "tuning_recipe"]

LEAST_LINES = 240  # read in an epoch, distorted anew each time
ALL_LINES = 9000  # read in all, about
MOST_EPOCHS, LEAST_EPOCHS = 30, 8
# Peak rates of trainings from nothing: what went on from other weights had a lower one.
PEAKS = {"crnn": 2e-3, "gated": 1.5e-3, "transformer": 1e-3}


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
    return progress.first, progress.best, progress.best_epoch


def _joined(
    known: Sequence[str], more: Sequence[str], lines: Sequence[Sample], form: str
) -> tuple[str, ...]:
    tokens = profile(form).tokens
    seen = {token for line in lines for token in tokens(line.text)}
    return (*known, *sorted({*more, *seen} - set(known)))
