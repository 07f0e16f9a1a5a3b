"""One folder that is a whole ensemble: what it reads with, what it knows, who judges.

``model.toml``, ``combiner.json`` and a small shelf of its own: ``models/NAME``, ``lm/NAME``,
``lexicons/NAME`` (see `assets`). It can be moved, sent and put on a shelf: its parts have plain
names there, also where they were given by paths.
"""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ensemble_htr.assets import CARD, LOCK, leaves, write_lock
from ensemble_htr.combine.model import JudgeModel, dump_judge, load_judge
from ensemble_htr.config import to_mapping
from ensemble_htr.errors import OutputError
from ensemble_htr.files import atomic_write
from ensemble_htr.plan import ModelConfig, Plan
from ensemble_htr.toml import toml_value

__all__ = ["CONFIG", "Parts", "parts_of", "write_ensemble"]

_BESIDE = ("card.md", "log.jsonl", "model.json", "recipe.toml")  # go with weights
CONFIG, _JUDGE = "model.toml", "combiner.json"
_OURS = (CONFIG, _JUDGE, CARD, LOCK, "models", "lm", "lexicons")  # no hotwords are called so


@dataclass(frozen=True, slots=True)
class Parts:
    """The files that make an ensemble, by the names that ``config`` gives them."""

    config: ModelConfig
    weights: Mapping[str, Path]
    lm: Path | None = None
    backward: Path | None = None
    lexicons: Mapping[str, Path] = field(default_factory=dict)
    judge: Path | None = None
    words: Mapping[str, Path] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)  # recognizers, from what judge says

    def files(self) -> dict[str, Path]:
        """What is copied, by its place in the ensemble's folder; raises `OutputError` for a place
        that lies outside."""
        files = {f"models/{name}/{path.name}": path for name, path in self.weights.items()}
        for name, path in self.weights.items():
            beside = (path.with_name(other) for other in _BESIDE)
            files |= {f"models/{name}/{other.name}": other for other in beside if other.is_file()}
        for name, lm in ((self.config.lm, self.lm), (self.config.backward, self.backward)):
            files |= {f"lm/{name}/{lm.name}": lm} if lm is not None else {}
        lists = self.lexicons.values()
        files |= {f"lexicons/{self.config.lexicon}/{path.name}": path for path in lists}
        files |= {self.config.combiner: self.judge} if self.judge is not None else {}
        for name, path in self.words.items():
            place = f"{name}/{path.name}" if name.startswith("lm/") else name.partition("/")[2]
            files[place] = path
        for name in files:
            if leaves(name):
                raise OutputError(f"'{name}' lies outside the ensemble's folder; rename that part")
        return files


def parts_of(plan: Plan) -> Parts:
    """The ensemble of a plan, its language model and lists included. Fewer recognizers than the
    model has speak in its joint search with the weight of all, as when they read. What is given by
    a path is called as the end of it."""
    names, nets = tuple(plan.weights), plan.config.joint.nets
    if nets and names != plan.config.recognizers:
        said = dict(zip(plan.config.recognizers, nets, strict=True))
        heard = [said.get(name, sum(nets) / len(nets)) for name in names]
        nets = tuple(net * sum(nets) / max(sum(heard), 1e-9) for net in heard)
    config = plan.config
    called = _plain(names, "net")
    lms = _plain((config.lm, config.backward, config.words.lm), "lm")
    hot = _plain(config.words.hotwords, "words", _OURS)
    words = replace(
        config.words, lm=lms[config.words.lm], hotwords=tuple(hot[n] for n in config.words.hotwords)
    )
    config = replace(
        config,
        recognizers=tuple(called.values()),
        lm=lms[config.lm],
        backward=lms[config.backward],
        lexicon=_plain([config.lexicon], "lexicon")[config.lexicon],
        combiner=_JUDGE if plan.judge is not None else "",
        joint=replace(config.joint, nets=nets),
        words=words,
    )
    spoken = {f"lm/{name}": f"lm/{new}" for name, new in lms.items()}
    spoken |= {f"hotwords/{name}": f"hotwords/{new}" for name, new in hot.items()}
    return Parts(
        config,
        {called[name]: path for name, path in plan.weights.items()},
        plan.lm,
        plan.backward,
        plan.lexicons,
        plan.judge,
        {spoken[name]: path for name, path in plan.words.items()},
        {name: new for name, new in called.items() if name != new},
    )


def _plain(names: Iterable[str], otherwise: str, taken: Iterable[str] = ()) -> dict[str, str]:
    """What each of ``names`` is called in a folder of all: itself, else the end of the path that it
    is (``otherwise`` where that has none), with a number before it where another is called so.
    None ("") stays none."""
    names, used = list(dict.fromkeys(names)), set(taken)
    found = {name: name for name in names if _end(name) == name and name not in used}
    used |= found.keys() - {""}
    for name in names:
        if name not in found:
            end = _end(name) or otherwise
            rivals = itertools.chain([end], (f"{number}-{end}" for number in itertools.count(2)))
            found[name] = next(rival for rival in rivals if rival not in used)
            used.add(found[name])
    return {name: found[name] for name in names}


def _end(path: str) -> str:
    """The last part that is a name, on any system and for `assets.resolve`."""
    parts = [part for part in re.split(r"[/\\:]", path) if part.strip("~.")]
    return parts[-1].lstrip("~") if parts else ""


def _hearing(judge: JudgeModel, renamed: Mapping[str, str]) -> JudgeModel:
    """The judge of recognizers that have new names."""
    modes = {
        key: replace(
            mode,
            votes={renamed.get(name, name): weight for name, weight in mode.votes.items()},
            images={renamed.get(name, name): weight for name, weight in mode.images.items()},
        )
        for key, mode in judge.modes.items()
    }
    return replace(judge, modes=modes)


def write_ensemble(
    parts: Parts, folder: Path, card: str, facts: Mapping[str, Any] | None = None
) -> None:
    """Copy ``parts`` into ``folder`` and lock it, the lock last. Raises `OutputError`, and
    `AssetError` for a judge that cannot be read where its recognizers have new names."""
    files = parts.files()
    try:
        for name, source in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.resolve() != target.resolve():
                shutil.copyfile(source, target)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    if parts.judge is not None and parts.renamed:
        judge = _hearing(load_judge(parts.judge), parts.renamed)
        atomic_write(folder / parts.config.combiner, dump_judge(judge))
    atomic_write(folder / CONFIG, config_text(parts.config))
    atomic_write(folder / CARD, card)
    write_lock(folder, [*files, CONFIG], facts=facts)


def config_text(config: ModelConfig) -> str:
    """``model.toml``: the keys that differ from their defaults."""
    plain = to_mapping(ModelConfig(config.recognizers))
    said = {k: v for k, v in to_mapping(config).items() if k == "recognizers" or v != plain[k]}
    tables = {k: v for k, v in said.items() if isinstance(v, dict)}
    rows = [f"{k} = {toml_value(v)}\n" for k, v in said.items() if k not in tables]
    for name, table in tables.items():
        rows.append(f"\n[{name}]\n")
        rows += [f"{k} = {toml_value(v)}\n" for k, v in table.items() if v != plain[name][k]]
    return "".join(rows)
