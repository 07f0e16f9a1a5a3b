"""What a user's transcriptions say of language: n-grams, words, names, and how loud they speak."""

from __future__ import annotations

import lzma
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from ensemble_htr.combine.model import dump_judge, load_judge
from ensemble_htr.files import atomic_write
from ensemble_htr.lexicon.adapt import adapt_lists
from ensemble_htr.lexicon.shelf import lists_of
from ensemble_htr.lm.adapt import adapt
from ensemble_htr.lm.arpa import read_arpa, write_arpa
from ensemble_htr.lm.loading import opened
from ensemble_htr.text import profile
from ensemble_htr.train.data import Sample
from ensemble_htr.train.folder import Parts

__all__ = ["louder", "with_own_language"]

OWN = "own"
_LEAST = 0.01  # a smaller share of the mix is no change
_BINARY = (".bin", ".binary", ".klm")


def with_own_language(
    parts: Parts,
    train: Sequence[Sample],
    held: Sequence[Sample],
    form: str,
    work: Path,
    say: Callable[[str], None],
) -> Parts:
    """The ensemble with its language models and lists taught the lines ``train`` (shares are fitted
    on ``held``), written below ``work``. An ensemble without a language model gets one; one without
    lists gets them if the lines have words.

    Raises what reading a language model or a list raises.
    """
    tokens = profile(form).tokens
    lines, others = ([tokens(s.text) for s in own] for own in (train, held))
    forward = _model(parts.lm, lines, others, work / "lm" / OWN, say)
    backward = parts.backward
    if backward is not None:
        lines, others = ([line[::-1] for line in own] for own in (lines, others))
        backward = _model(backward, lines, others, work / "lm" / f"{OWN}-backward", say)
    lists = work / "lexicons" / OWN
    new = adapt_lists(parts.lexicons, [sample.text for sample in train], lists)
    say("lexicon: " + ", ".join(f"{count} new in '{name}'" for name, count in new.items()) + "\n")
    found = bool(parts.lexicons or any(new.values()))
    config = replace(
        parts.config,
        lm=parts.config.lm if forward == parts.lm else OWN,
        backward=parts.config.backward if backward == parts.backward else f"{OWN}-backward",
        lexicon=OWN if found else parts.config.lexicon,
    )
    own = lists_of(lists) if found else parts.lexicons
    return replace(parts, config=config, lm=forward, backward=backward, lexicons=own)


def _model(
    base: Path | None,
    lines: Sequence[Sequence[str]],
    held: Sequence[Sequence[str]],
    folder: Path,
    say: Callable[[str], None],
) -> Path | None:
    """The mix of the model in ``base`` and one of ``lines``; ``base`` itself where it says as much
    of the lines held back, or is binary (nothing can be mixed into it)."""
    if base is not None and base.suffix in _BINARY:
        say(f"{base}: a binary language model cannot take in more; it stays as it is\n")
        return base
    known = None
    if base is not None:
        with opened(base) as file:
            known = read_arpa(file, str(base))
    found = adapt(known, lines, held)
    before = f"{found.before:.2f} -> " if known is not None else ""
    share = f"{100 * found.share:.0f} % of its own lines"
    say(f"language model: {before}{found.after:.2f} bits per character held back, {share}\n")
    if known is not None and (found.share < _LEAST or found.after >= found.before):
        return base
    buffer = BytesIO()
    write_arpa(found.model, buffer, 3)
    path = folder / "model.arpa.xz"
    atomic_write(path, lzma.compress(buffer.getvalue(), preset=3))
    return path


def louder(judge: Path, times: float, out: Path) -> Path:
    """The judge with everything that knows language and not the line ``times`` as loud, in ``out``.

    Raises `AssetError` for a damaged judge, `OutputError` where ``out`` cannot be written.
    """
    model = load_judge(judge)
    modes = {
        name: replace(
            mode,
            language=mode.language * times,
            length=mode.length * times,
            voices={voice: weight * times for voice, weight in mode.voices.items()},
        )
        for name, mode in model.modes.items()
    }
    atomic_write(out, dump_judge(replace(model, modes=modes)))
    return out
