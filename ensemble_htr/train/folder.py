"""One folder that is a whole ensemble: what it reads with, what it knows, who judges.

``model.toml``, ``combiner.json`` and a small shelf of its own: ``models/NAME``, ``lm/NAME``,
``lexicons/NAME`` (see `assets`). It can be moved, sent and put on a shelf.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ensemble_htr.assets import write_lock
from ensemble_htr.config import to_mapping
from ensemble_htr.errors import OutputError
from ensemble_htr.files import atomic_write
from ensemble_htr.plan import ModelConfig, Plan
from ensemble_htr.toml import toml_value

__all__ = ["Parts", "parts_of", "write_ensemble"]

_BESIDE = ("card.md", "log.jsonl", "model.json", "recipe.toml")  # go with weights


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


def parts_of(plan: Plan) -> Parts:
    """The ensemble of a plan, its language model and lists included. Fewer recognizers than the
    model has speak in its joint search with the weight of all, as when they read."""
    names, nets = tuple(plan.weights), plan.config.joint.nets
    if nets and names != plan.config.recognizers:
        said = dict(zip(plan.config.recognizers, nets, strict=True))
        heard = [said.get(name, sum(nets) / len(nets)) for name in names]
        nets = tuple(net * sum(nets) / max(sum(heard), 1e-9) for net in heard)
    joint = replace(plan.config.joint, nets=nets)
    config = replace(plan.config, recognizers=names, joint=joint)
    return Parts(
        config, plan.weights, plan.lm, plan.backward, plan.lexicons, plan.judge, plan.words
    )


def write_ensemble(
    parts: Parts, folder: Path, card: str, facts: Mapping[str, Any] | None = None
) -> None:
    """Copy ``parts`` into ``folder`` and lock it, the lock last; raises `OutputError`."""
    files = {f"models/{name}/{path.name}": path for name, path in parts.weights.items()}
    for name, path in parts.weights.items():
        beside = (path.with_name(other) for other in _BESIDE)
        files |= {f"models/{name}/{other.name}": other for other in beside if other.is_file()}
    for name, lm in ((parts.config.lm, parts.lm), (parts.config.backward, parts.backward)):
        files |= {f"lm/{name}/{lm.name}": lm} if lm is not None else {}
    lists = parts.lexicons.values()
    files |= {f"lexicons/{parts.config.lexicon}/{path.name}": path for path in lists}
    files |= {parts.config.combiner: parts.judge} if parts.judge is not None else {}
    for name, path in parts.words.items():
        place = f"{name}/{path.name}" if name.startswith("lm/") else name.partition("/")[2]
        files[place] = path
    try:
        for name, source in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.resolve() != target.resolve():
                shutil.copyfile(source, target)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    atomic_write(folder / "model.toml", config_text(parts.config))
    atomic_write(folder / "card.md", card)
    write_lock(folder, [*files, "model.toml"], facts=facts)


def config_text(config: ModelConfig) -> str:
    """``model.toml``: the keys that differ from their defaults."""
    plain = to_mapping(ModelConfig(config.recognizers))
    said = {k: v for k, v in to_mapping(config).items() if k == "recognizers" or v != plain[k]}
    tables = {k: v for k, v in said.items() if isinstance(v, dict)}
    rows = [f"{k} = {_value(v)}\n" for k, v in said.items() if k not in tables]
    for name, table in tables.items():
        rows.append(f"\n[{name}]\n")
        rows += [f"{k} = {_value(v)}\n" for k, v in table.items() if v != plain[name][k]]
    return "".join(rows)


def _value(value: Any) -> str:
    return toml_value(value)
