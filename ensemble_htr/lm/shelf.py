"""Lock and card of a language model: views of what the build measured."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ensemble_htr.config import to_mapping

if TYPE_CHECKING:
    from ensemble_htr.lm.build import Built, Score

__all__ = ["card_text", "data_hash", "lock_text"]


def data_hash(path: Path) -> str:
    """sha256 of a file, or of the names and hashes of a folder's text and XML files."""
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if ".txt" in p.suffixes or p.suffix == ".xml")
        rows = "".join(f"{p.name} {data_hash(p)}\n" for p in files)
        return hashlib.sha256(rows.encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lock_text(built: Built, product: str, packed: bytes, root: Path) -> str:
    """The lock: what the product is, bit for bit, and what it was made of."""
    recipe = built.recipe
    texts = [t for part in recipe.components for t in part.texts]
    used = dict.fromkeys([*texts, *recipe.held_out, *recipe.report])
    lock = {
        "schema": 1,
        "name": recipe.name,
        "product": {
            "file": product,
            "bytes": len(packed),
            "sha256": hashlib.sha256(packed).hexdigest(),
            "unpacked_sha256": hashlib.sha256(built.arpa).hexdigest(),
        },
        "licence": recipe.licence,
        "data": {name: data_hash(root / name) for name in used},
        "tools": {"python": platform.python_version(), "numpy": np.__version__},
        "recipe": to_mapping(recipe),
        "ngrams": list(built.counts),
        "weights": {
            part.name: round(w, 6) for part, w in zip(recipe.components, built.weights, strict=True)
        },
        f"bits_per_{recipe.level}": None if built.score is None else round(built.score.bits, 4),
    }
    return json.dumps(lock, indent=1, ensure_ascii=False) + "\n"


def card_text(built: Built, size: int) -> str:
    """The card: what it is, what it scores, where it fails, whom to credit."""
    recipe = built.recipe
    lines = [f"# Language model {recipe.name}", ""]
    if recipe.description:
        lines += [recipe.description.strip(), ""]
    lines += [
        f"{recipe.unit.capitalize()} {recipe.order}-gram, interpolated modified Kneser-Ney, "
        f"text profile `{recipe.profile}`; "
        f"{sum(built.counts):,} n-grams ({_dotted(built.counts)}); {size:,} bytes packed; "
        f"log10 to {recipe.decimals} places. "
        f"{'Reads every line from its end. ' if recipe.backward else ''}Written by "
        "`ensemble-htr lm build`.",
        "",
        "## Made of",
        "",
        "| component | weight | texts | treatment |",
        "|---|---|---|---|",
    ]
    for part, weight in zip(recipe.components, built.weights, strict=True):
        done = ["lines deduplicated"] * part.deduplicate
        done += [f"broken into lines of about {part.wrap} characters"] * bool(part.wrap)
        done += [f"{Path(t).name}: deduplicated" for t in part.once]
        names = ", ".join(Path(t).name for t in part.texts)
        lines.append(f"| {part.name} | {weight:.3f} | {names} | {'; '.join(done) or '-'} |")
    if recipe.held_out:
        lines += ["", f"Weights fitted on {', '.join(recipe.held_out)} ({recipe.importance} count "]
        lines[-1] += f"alike), context trust gamma {recipe.gamma:g}."
    if recipe.prune:
        lines += [f"Pruned by relative entropy, threshold {recipe.prune:g}."]
    if built.score:
        lines += _scores(built.score, built.rivals, ", ".join(recipe.report), recipe.unit)
    for title, rows in (("Where it fails", recipe.limits), ("Credit", recipe.attribution)):
        if rows:
            lines += ["", f"## {title}", "", *(f"- {row}" for row in rows)]
    if recipe.licence:
        lines += ["", f"Licence of the model: {recipe.licence}."]
    return "\n".join(lines) + "\n"


def _dotted(counts: tuple[int, ...]) -> str:
    return " / ".join(f"{c:,}" for c in counts)


def _scores(score: Score, rivals: tuple[Score, ...], where: str, unit: str) -> list[str]:
    lines = [
        "",
        "## What it scores",
        "",
        f"Bits per {unit} on {where} (a line's end counts as a {unit}; chosen there).",
        "",
        f"| model | n-grams | bits per {unit} | documents alike |",
        "|---|---|---|---|",
    ]
    for row in (*rivals, score):
        mean = sum(b for _, b in row.documents) / len(row.documents)
        mark = "**" if row is score else ""
        lines.append(f"| {mark}{row.name}{mark} | {row.ngrams:,} | {row.bits:.3f} | {mean:.3f} |")
    lines += ["", "Per document:", "", f"| document | bits per {unit} |", "|---|---|"]
    lines += [f"| {name} | {bits:.3f} |" for name, bits in score.documents]
    return lines
