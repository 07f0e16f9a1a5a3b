"""What a language model is made of: the recipe, as a file or put together on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ensemble_htr.errors import InputError, UsageError, did_you_mean
from ensemble_htr.lm.corpus import Text, read_texts, wrap
from ensemble_htr.lm.kneser_ney import MAX_ORDER
from ensemble_htr.text import profile

__all__ = ["Candidate", "Component", "Recipe", "component_lines", "from_texts"]


@dataclass(frozen=True, slots=True)
class Component:
    """One model of the mix, estimated from its own text."""

    name: str
    texts: tuple[str, ...]  # files or folders, relative to the data root
    deduplicate: bool = False  # keep the first of equal lines (forms repeat)
    wrap: int = 0  # break running text into lines of about so many characters; 0 = as it is
    weight: float | None = None  # share of the mix, None = fitted on the held-out text
    once: tuple[str, ...] = ()  # files of ``texts`` to deduplicate on their own


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rival that the build measures for the card: None = as in the recipe."""

    name: str
    order: int | None = None
    gamma: float | None = None
    prune: float | None = None
    components: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the bytes of a language model."""

    name: str
    components: tuple[Component, ...]
    description: str = ""
    licence: str = ""
    attribution: tuple[str, ...] = ()  # lines for the card
    limits: tuple[str, ...] = ()  # where it fails, lines for the card
    profile: str = "fr-archive"
    level: Literal["char", "word"] = "char"  # what a token is
    backward: bool = False  # reads every line from its end: the voice of what follows
    vocabulary: int = 0  # words kept at level "word", the most frequent; 0 = all
    order: int = 6
    gamma: float = 0.0  # trust in a component by its probability of the context: see interpolate
    prune: float = 0.0  # relative rise of perplexity that an n-gram may cost to be dropped
    cutoffs: tuple[int, ...] = ()  # occurrences up to which n-grams of order 1, 2, ... are dropped
    decimals: int = 3  # places of log10 in the product
    held_out: tuple[str, ...] = ()  # text to fit the mix on
    importance: Literal["tokens", "documents"] = "documents"  # what counts alike in the fit
    report: tuple[str, ...] = ()  # text to measure bits per character on
    candidates: tuple[Candidate, ...] = ()

    @property
    def unit(self) -> str:
        """What a token is called in cards and messages."""
        return "character" if self.level == "char" else "word"

    def __post_init__(self) -> None:
        profile(self.profile)
        if not 1 <= self.order <= MAX_ORDER:
            raise ValueError(f"order is {self.order}; wanted 1 to {MAX_ORDER}")
        if not self.components:
            raise ValueError("a recipe needs at least one component")
        if self.level not in ("char", "word") or self.vocabulary < 0:
            raise ValueError('level must be "char" or "word", vocabulary 0 or more')
        if self.vocabulary and self.level == "char":
            raise ValueError('a bounded vocabulary is for level "word"; drop it, or set level')
        names = [c.name for c in self.components]
        if len(set(names)) != len(names):
            raise ValueError("two components share a name")
        for rival in self.candidates:
            for wanted in rival.components or ():
                if wanted not in names:
                    raise ValueError(f"unknown component '{wanted}'{did_you_mean(wanted, names)}")
        given = [c.weight for c in self.components if c.weight is not None]
        if given and (min(given) < 0 or sum(given) <= 0):
            raise ValueError(f"weights {given} of a mix: wanted 0 or more, and one above 0")
        if not 1 <= self.decimals <= 9 or self.prune < 0 or self.gamma < 0:
            raise ValueError("decimals must be 1 to 9, prune and gamma 0 or more")
        open_ = [c.name for c in self.components if c.weight is None]
        if open_ and len(names) > 1 and not self.held_out:
            raise ValueError(f"no weight for {', '.join(open_)} and no held-out text to fit it on")
        if open_ and len(open_) < len(names):
            raise ValueError("give a weight to every component or to none")


def from_texts(
    name: str,
    texts: Sequence[Path],
    weights: Mapping[str, float],
    held_out: Sequence[Path] = (),
    **settings: object,
) -> Recipe:
    """The recipe of ``lm build TEXT...``.

    Without weights and held-out text all texts are one component; with them each TEXT is one.
    Raises `UsageError` for a weight that names no TEXT and for settings that contradict.
    """
    known = {str(path) for path in texts}
    for wanted in weights:
        if wanted not in known:
            raise UsageError(f"--weight: no such TEXT: '{wanted}'{did_you_mean(wanted, known)}")
    if weights or held_out:
        parts = tuple(
            Component(t, (t,), weight=weights.get(t, 1.0) if weights else None)
            for t in dict.fromkeys(map(str, texts))
        )
    else:
        parts = (Component("text", tuple(dict.fromkeys(map(str, texts))), weight=1.0),)
    held = tuple(map(str, held_out))
    try:
        return Recipe(name, parts, held_out=held, report=held, **settings)  # type: ignore[arg-type]
    except ValueError as error:
        raise UsageError(str(error)) from None


def component_lines(
    component: Component, root: Path, profile_name: str, read: dict[str, list[Text]]
) -> list[tuple[str, ...]]:
    """The lines of one component; ``read`` keeps the texts that were read already."""
    for extra in component.once:
        if extra not in component.texts:
            raise InputError(f"{component.name}: 'once' names '{extra}', which is not in its texts")
    lines: list[tuple[str, ...]] = []
    for name in component.texts:
        if name not in read:
            read[name] = read_texts([root / name], profile(profile_name))
        own = [line for text in read[name] for line in text.lines]
        lines += dict.fromkeys(own) if name in component.once else own
    if component.deduplicate:
        lines = list(dict.fromkeys(lines))
    return wrap(lines, component.wrap) if component.wrap else lines
