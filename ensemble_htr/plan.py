"""What a user's choice of an ensemble means in files: found and verified, not yet loaded."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ensemble_htr.assets import leaves, resolve, sha256_file
from ensemble_htr.config import load_toml, to_mapping
from ensemble_htr.decode import BeamOptions
from ensemble_htr.decode.pyctc import WordOptions
from ensemble_htr.errors import AssetError, UsageError, did_you_mean
from ensemble_htr.io.select import Selection
from ensemble_htr.layout.preprocess import Preprocess
from ensemble_htr.lexicon.shelf import lists_of
from ensemble_htr.packs import Pack, load_pack, require_readable
from ensemble_htr.types import JointOptions, SearchOptions

__all__ = [
    "ModelConfig",
    "PipelineOptions",
    "Plan",
    "fingerprint",
    "fingerprint_of",
    "read_model",
    "weights_in",
]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """``model.toml`` of an ensemble. Recognizers, LM and lexicon are names on the shelves, or
    paths."""

    recognizers: tuple[str, ...]
    lm: str = ""  # "" = none
    backward: str = ""  # a model built with ``lm build --backward``, a further voice; "" = none
    lexicon: str = ""  # lists of names and words, each a further voice; "" = none
    combiner: str = ""  # file in the ensemble's folder; "" = unfitted
    beam: BeamOptions = field(default_factory=BeamOptions)
    search: SearchOptions = field(default_factory=SearchOptions)  # of recognizers that write
    joint: JointOptions = field(default_factory=JointOptions)  # of all recognizers together
    words: WordOptions = WordOptions()  # a second decoder of every recognizer's posteriors
    preprocess: Preprocess = Preprocess()  # as the recognizers' training lines had it

    def __post_init__(self) -> None:
        if not self.recognizers:
            raise ValueError('recognizers names nothing; wanted one or more, as ["crnn"]')
        if self.joint.nets and len(self.joint.nets) != len(self.recognizers):
            raise ValueError("joint: nets must hold a weight for each recognizer")
        if leaves(self.combiner):
            raise ValueError(f"combiner: '{self.combiner}' lies outside the ensemble's folder")


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """What the user chooses; small and picklable, so that worker processes build their own."""

    model: str = "default"  # name on the models shelf, or a folder
    recognizers: tuple[str, ...] | None = None  # a subset; None = all of the model's
    combiner: Path | None = None  # another judge file
    lm: bool = True
    lexicon: bool = True  # False: the model's lists of names and words are silent
    lexicons: tuple[Path, ...] = ()  # the user's own lists, heard beside them
    images: bool = True  # False: post-processor only, neither torch nor OpenCV is loaded
    cache: Path | None = None  # folder that keeps cut lines from one run to the next
    select: Selection = Selection()  # which lines and regions of marked pages are read
    segmenter: str = "ink"  # who finds the lines of pages that nobody has marked
    language: str = ""  # a pack, name or folder, in place of the model's language; "" = the model's
    edited: bool = False  # the ensemble's own files need not be what its lock says


def fingerprint(options: PipelineOptions) -> str:
    """What `Pipeline.fingerprint` would give, from the files alone: nothing is loaded, so it asks
    for neither torch nor time. Raises `AssetError`, `UsageError` and `ConfigError` as `load`."""
    plan = Plan.of(options)
    return fingerprint_of(options, plan.config, plan.products())


def fingerprint_of(
    options: PipelineOptions, config: ModelConfig, products: Mapping[str, str]
) -> str:
    """sha256 over all that decides the text but for the pages themselves."""
    named = {
        "model",
        "recognizers",
        "combiner",
        "images",
        "lexicon",
        "lexicons",
        "language",
    }  # speak through their products
    facts = {
        "products": dict(products),
        "config": to_mapping(config),
        "options": {
            f.name: repr(getattr(options, f.name))
            for f in dataclasses.fields(options)
            if f.name not in named | {"cache", "edited"}
        },
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Plan:
    """The files that options mean: found and compared with their locks, not yet loaded."""

    config: ModelConfig
    lm: Path | None
    judge: Path | None
    backward: Path | None
    weights: Mapping[str, Path]  # by recognizer
    lexicons: Mapping[str, Path]  # by list, the model's
    own_lists: Mapping[str, Path]  # the user's
    words: Mapping[str, Path]  # the word reader's files by product; empty = it is silent
    folder: Path = Path()  # of the ensemble
    pack: Pack | None = None  # the language that was asked for

    @classmethod
    def of(cls, options: PipelineOptions) -> Plan:
        folder = resolve("models", options.model, check=not options.edited)
        config = read_model(folder)
        near, pack = folder, None
        if options.language:
            near, pack = load_pack(options.language)
            if options.images:
                require_readable(pack)
            config = _spoken(config, pack)
        names = _chosen(config, options)
        judge = options.combiner or (folder / config.combiner if config.combiner else None)
        if options.combiner is None and judge is not None and not judge.exists():
            judge = None
        words = config.words.on and options.lm and options.images
        spoken = options.lm and config.lm
        if options.lexicons and not options.lm:
            raise UsageError(
                "--lexicon: lists speak only beside the language model; leave out --no-lm or "
                "--lexicon"
            )
        return cls(
            config,
            _find_lm(config.lm, near) if spoken else None,
            judge,
            _find_lm(config.backward, near) if spoken and config.backward else None,
            {n: weights_in(resolve("models", n, near=folder)) for n in names if options.images},
            _model_lists(config, options, near) if spoken else {},
            _own_lists(options) if spoken else {},
            _find_words(folder, config.words) if words else {},
            folder,
            pack,
        )

    def products(self) -> dict[str, str]:
        """The sha256 of each file ("" of one that is missing: loading it says so)."""
        files = {f"models/{name}": path for name, path in self.weights.items()} | {**self.words}
        files |= {"combiner": self.judge} if self.judge is not None else {}
        files |= {f"lm/{self.config.lm}": self.lm} if self.lm is not None else {}
        files |= {f"lm/{self.config.backward}": self.backward} if self.backward is not None else {}
        lists = {**self.lexicons, **self.own_lists}
        files |= {f"lexicons/{name}": path for name, path in lists.items()}
        return {name: sha256_file(p) if p.is_file() else "" for name, p in files.items()}


def read_model(folder: Path) -> ModelConfig:
    """The ``model.toml`` of the ensemble in ``folder``. Raises `UsageError` for the folder of a
    single recognizer, and what `load_toml` raises."""
    path = folder / "model.toml"
    if not path.exists() and weights_in(folder).is_file():
        raise UsageError(
            f"{folder}: is a single recognizer, not an ensemble; give an ensemble that has it, as "
            f"--model default: with --recognizers {folder.name} it reads (transcribe, combine "
            "--images) or learns (finetune) alone"
        )
    return load_toml(path, ModelConfig)


def weights_in(folder: Path) -> Path:
    """The weights of a recognizer's folder: safetensors, or a network for ONNX Runtime."""
    exported = folder / "model.onnx"
    return exported if exported.is_file() else folder / "model.safetensors"


def _spoken(config: ModelConfig, pack: Pack) -> ModelConfig:
    """The ensemble in the language of a pack; word readers know but their own, and so do the
    language modules of networks that write."""
    same = pack.lm == config.lm
    return dataclasses.replace(
        config,
        lm=pack.lm,
        backward=pack.backward,
        lexicon=pack.lexicon,
        beam=pack.beam or config.beam,
        search=config.search if same else dataclasses.replace(config.search, inner=0.0),
        words=dataclasses.replace(config.words, on=False),
    )


def _chosen(config: ModelConfig, options: PipelineOptions) -> tuple[str, ...]:
    names = options.recognizers or config.recognizers
    for name in names:
        if name not in config.recognizers:
            hint = did_you_mean(name, config.recognizers)
            raise UsageError(f"model '{options.model}' has no recognizer '{name}'{hint}")
    return tuple(dict.fromkeys(names))


def _find_lm(name: str, near: Path) -> Path:
    folder = resolve("lm", name, near=near)
    found = sorted(p for p in folder.iterdir() if ".arpa" in p.name or p.suffix in (".klm", ".bin"))
    if not found:
        raise AssetError(f"{folder}: holds no language model (wanted model.arpa.xz)")
    return found[0]


def _model_lists(config: ModelConfig, options: PipelineOptions, near: Path) -> dict[str, Path]:
    wanted = config.lexicon and options.lexicon
    return lists_of(resolve("lexicons", config.lexicon, near=near)) if wanted else {}


def _own_lists(options: PipelineOptions) -> dict[str, Path]:
    """The user's lists, each called as its file; ``own-NAME`` never clashes with a model's."""
    found: dict[str, Path] = {}
    for path in options.lexicons:
        own = lists_of(path) if path.is_dir() else {path.name.split(".")[0]: path}
        for name, file in own.items():
            if (called := f"own-{name}") in found:
                raise UsageError(f"--lexicon {path}: '{name}' is given twice; rename one of them")
            found[called] = file
    return found


def _find_words(folder: Path, words: WordOptions) -> dict[str, Path]:
    model = {f"lm/{words.lm}": _find_lm(words.lm, folder)} if words.lm else {}
    return model | {f"hotwords/{name}": folder / name for name in words.hotwords}
