"""The verb behind ``ensemble-htr lm build``: texts or a recipe in, an ARPA model out."""

from __future__ import annotations

import gzip
import io
import lzma
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ensemble_htr.files import atomic_write
from ensemble_htr.lm.arpa import read_arpa, write_arpa
from ensemble_htr.lm.corpus import Text, read_texts
from ensemble_htr.lm.interpolate import (
    fit_weights,
    interpolate,
    prune_counts,
    prune_entropy,
)
from ensemble_htr.lm.kneser_ney import estimate, vocabulary
from ensemble_htr.lm.ngrams import BOS_ID, Floats, NGramModel, encode, stream_logprob
from ensemble_htr.lm.recipe import Recipe, component_lines
from ensemble_htr.lm.shelf import card_text, lock_text
from ensemble_htr.lm.symbols import SPECIALS
from ensemble_htr.lm.words import bounded, split
from ensemble_htr.text import profile

__all__ = ["Built", "Score", "build", "write_product"]

Say = Callable[[str], None]
SUFFIXES = (".arpa", ".arpa.xz", ".arpa.gz")


@dataclass(frozen=True, slots=True)
class Score:
    """How a model predicts a text: bits per token (character or word), line ends counted too."""

    name: str
    ngrams: int
    bits: float
    documents: tuple[tuple[str, float], ...]  # name of a document, bits per token


@dataclass(frozen=True, slots=True)
class Built:
    """A finished model: ``arpa`` are the bytes of the unpacked file, scores are measured on it."""

    recipe: Recipe
    arpa: bytes
    counts: tuple[int, ...]
    weights: tuple[float, ...]
    score: Score | None
    rivals: tuple[Score, ...]


class _Kitchen:
    """The texts of a recipe, read once, and the models estimated from them, once per order."""

    def __init__(self, recipe: Recipe, root: Path, say: Say) -> None:
        self.say = say
        read: dict[str, list[Text]] = {}
        self.lines = {}
        for part in recipe.components:
            self.lines[part.name] = component_lines(part, root, recipe.profile, read)
            size = sum(map(len, self.lines[part.name]))
            say(f"{part.name}: {len(self.lines[part.name]):,} lines, {size:,} characters")
        self.held = self._read(recipe.held_out, recipe, root)
        self.report = self._read(recipe.report, recipe, root)
        if recipe.level == "char":
            self.vocab = vocabulary(line for lines in self.lines.values() for line in lines)
        else:
            self.lines = {name: split(lines) for name, lines in self.lines.items()}
            self.vocab = bounded(self.lines, recipe.vocabulary)
            say(f"{len(self.vocab) - len(SPECIALS):,} words{self._unknown()}")
        if recipe.backward:
            self.lines = {name: [line[::-1] for line in own] for name, own in self.lines.items()}
            self.held, self.report = _reversed(self.held), _reversed(self.report)
        self._models: dict[tuple[str, int], NGramModel] = {}

    @staticmethod
    def _read(names: Sequence[str], recipe: Recipe, root: Path) -> list[Text]:
        if not names:
            return []
        texts = read_texts([root / name for name in names], profile(recipe.profile))
        if recipe.level == "char":
            return texts
        return [replace(text, lines=tuple(split(text.lines))) for text in texts]

    def _unknown(self) -> str:
        known = set(self.vocab)
        words = [word for text in self.report for line in text.lines for word in line]
        missed = sum(word not in known for word in words)
        return f"; {missed / len(words):.1%} of the report text are others" if words else ""

    def model(self, component: str, order: int) -> NGramModel:
        if (component, order) not in self._models:
            self.say(f"estimating {component}, order {order}")
            self._models[component, order] = estimate(self.lines[component], order, self.vocab)
        return self._models[component, order]

    def cook(self, recipe: Recipe) -> tuple[NGramModel, tuple[float, ...]]:
        """Estimate, mix and prune; the weights are those of the components."""
        models = [self.model(part.name, recipe.order) for part in recipe.components]
        weights = self._weights(recipe, models)
        mixed = interpolate(models, weights, recipe.gamma)
        tokens = sum(len(line) + 2 for part in recipe.components for line in self.lines[part.name])
        cut = prune_counts(mixed, tokens, recipe.cutoffs) if recipe.cutoffs else mixed
        return prune_entropy(cut, recipe.prune), weights

    def _weights(self, recipe: Recipe, models: Sequence[NGramModel]) -> tuple[float, ...]:
        if len(models) == 1:
            return (1.0,)
        given = [part.weight for part in recipe.components if part.weight is not None]
        if given:
            return tuple(w / sum(given) for w in given)
        stream = encode((line for t in self.held for line in t.lines), self.vocab)
        share = None if recipe.importance == "tokens" else _shares(self.held)
        return fit_weights(models, stream, share, recipe.gamma)

    def score(self, name: str, model: NGramModel) -> Score:
        """Bits per token of the report text, over all and per document."""
        stream = encode((line for t in self.report for line in t.lines), self.vocab)
        asked = stream != BOS_ID
        bits = -stream_logprob(model, stream) / np.log(2.0)
        owner = _owners(self.report)
        total = np.bincount(owner, bits) / np.maximum(np.bincount(owner, asked), 1)
        per = tuple((t.name, float(b)) for t, b in zip(self.report, total, strict=True))
        ngrams = sum(model.counts())
        return Score(name, ngrams, float(bits.sum() / asked.sum()), per)


def _reversed(texts: Sequence[Text]) -> list[Text]:
    return [replace(t, lines=tuple(line[::-1] for line in t.lines)) for t in texts]


def _owners(texts: Sequence[Text]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """For every token of the encoded texts the index of its document."""
    return np.repeat(np.arange(len(texts)), [sum(len(x) + 2 for x in t.lines) for t in texts])


def _shares(texts: Sequence[Text]) -> Floats:
    """Importance of every token such that documents count alike."""
    owner = _owners(texts)
    shares: Floats = 1.0 / np.bincount(owner)[owner]
    return shares


def build(recipe: Recipe, root: Path, say: Say = lambda _: None) -> Built:
    """Build the model of ``recipe`` from the texts under ``root``.

    The same recipe and texts give the same bytes. ``say`` gets lines of progress. Raises
    `InputError` for texts that cannot be read.
    """
    kitchen = _Kitchen(recipe, root, say)
    rivals = []
    for rival in recipe.candidates if kitchen.report else ():
        wanted = rival.components
        parts = [c for c in recipe.components if wanted is None or c.name in wanted]
        own = replace(
            recipe,
            components=tuple(parts),
            order=recipe.order if rival.order is None else rival.order,
            gamma=recipe.gamma if rival.gamma is None else rival.gamma,
            prune=recipe.prune if rival.prune is None else rival.prune,
            candidates=(),
        )
        model, _ = kitchen.cook(own)
        rivals.append(kitchen.score(rival.name, model))
        say(f"candidate {rival.name}: {rivals[-1].bits:.3f} bits per {recipe.unit}")
    model, weights = kitchen.cook(recipe)
    buffer = io.BytesIO()
    write_arpa(model, buffer, recipe.decimals)
    arpa = buffer.getvalue()
    score = None
    if kitchen.report:  # of what was written, rounding and all
        written = read_arpa(io.BytesIO(arpa), recipe.name)
        score = kitchen.score(recipe.name, written)
        bits = f"{score.bits:.3f} bits per {recipe.unit}"
        say(f"{recipe.name}: {bits}, {score.ngrams:,} n-grams")
    return Built(recipe, arpa, model.counts(), weights, score, tuple(rivals))


def write_product(built: Built, out: Path, root: Path) -> Path:
    """Write a model to ``out``: a file ``*.arpa[.xz|.gz]``, or a folder that also gets the lock
    and the card. Files appear whole or not at all. Raises `OutputError`."""
    if out.name.endswith(SUFFIXES):
        atomic_write(out, _pack(built.arpa, out.name))
        return out
    target = out / "model.arpa.xz"
    packed = _pack(built.arpa, target.name)
    atomic_write(target, packed)
    atomic_write(out / "lock.json", lock_text(built, target.name, packed, root).encode())
    atomic_write(out / "card.md", card_text(built, len(packed)).encode())
    return target


def _pack(data: bytes, name: str) -> bytes:
    if name.endswith(".xz"):
        return lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
    if name.endswith(".gz"):
        return gzip.compress(data, mtime=0)
    return data
