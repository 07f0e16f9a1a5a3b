"""What the judge has learned: a plain, versioned JSON file of numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ensemble_htr.combine.certainty import Calibration, Scorer
from ensemble_htr.config import from_mapping, to_mapping
from ensemble_htr.errors import AssetError, ConfigError

__all__ = [
    "BACKWARD",
    "FORMAT",
    "MODELS",
    "MODULE",
    "Calibration",
    "JudgeModel",
    "Mode",
    "load_judge",
    "plain_judge",
]

FORMAT = "ensemble-htr-judge-2"
_READ = ("ensemble-htr-judge-1", FORMAT)  # the first had no scorers
BACKWARD = "backward"  # the voice that is an n-gram model read from the end
MODULE = "module"  # the voice that is a decoder's language module
MODELS = (BACKWARD, MODULE)  # the voices that are language models; the others are lists
_LARGEST_WEIGHT = 1e9  # nats; fitted ones are below 100
LARGEST = 4 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Mode:
    """The judge's weights in one situation (with or without images, with or without an LM).

    A path's score in nats is ``sum_e votes[e] * (its share of votes) + sum_k images[k] * log p_k``
    ``+ language * log p_lm + length * tokens + sum_v voices[v] * (what v says)``; see
    `combine.judge`.
    """

    votes: Mapping[str, float] = field(default_factory=dict)  # by engine
    vote_default: float = 2.0  # of an engine that was not there when the judge was fitted
    images: Mapping[str, float] = field(default_factory=dict)  # by recognizer
    image_default: float = 0.3
    language: float = 0.0
    length: float = 0.0
    voices: Mapping[str, float] = field(default_factory=dict)  # by `protocols.TextVoice.name`
    guard: float = 0.0  # nats by which a word that language changed must be likelier (`mute`)
    list_guard: float = 0.0  # nats by which lists must like better what they alone changed ...
    list_margin: float = 0.0  # ... and by which the likeliest path so must be likelier than without
    char: Calibration = Calibration(0.0, (1.0, 0.0, 0.0, 0.0))
    word: Calibration = Calibration(0.0, (1.0, 0.0))
    line: Calibration = Calibration(0.0, (1.0, 0.0))
    scorer: Scorer | None = None  # speaks instead of the three above

    @property
    def speaks(self) -> bool:
        """Whether anybody has a say who knows language and not this line."""
        return self.language != 0 or any(self.voices.values())

    def mute(self) -> Mode:
        """The same with all of them silent."""
        plain = replace(self, guard=0.0, list_guard=0.0, list_margin=0.0)
        return replace(plain, language=0.0, length=0.0, voices={})

    @property
    def listed(self) -> bool:
        """Whether a list of words or names has a say."""
        return any(weight for voice, weight in self.voices.items() if voice not in MODELS)

    def unlisted(self) -> Mode:
        """The same with the lists silent; language models speak."""
        models = {voice: weight for voice, weight in self.voices.items() if voice in MODELS}
        return replace(self, voices=models, list_guard=0.0, list_margin=0.0)


@dataclass(frozen=True, slots=True)
class JudgeModel:
    """Modes by name: ``image+lm``, ``image``, ``text+lm``, ``text``; ``facts`` say how it was made.

    ``foreign_bits``: the LM is used for the text of engines that are not ours only where it needs
    at most this many bits per character.
    """

    format: str = FORMAT
    modes: Mapping[str, Mode] = field(default_factory=dict)
    foreign_bits: float = 4.8  # French read at 23 % CER needs 2.8 to 4.5, Latin 5.3 (eval)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def mode(self, images: bool, lm: bool) -> Mode:
        name = ("image" if images else "text") + ("+lm" if lm else "")
        return self.modes.get(name, plain_judge().modes[name])

    def hearing(self, voices: Iterable[str], weight: float) -> JudgeModel:
        """The same with further voices, where the language model speaks too."""
        more = dict.fromkeys(voices, weight)
        spoken = {
            name: replace(mode, voices={**mode.voices, **more}) if name.endswith("+lm") else mode
            for name, mode in {**plain_judge().modes, **self.modes}.items()
        }
        return replace(self, modes=spoken) if more else self


def plain_judge() -> JudgeModel:
    """An unfitted judge: every engine has one vote, every recognizer an equal say."""
    base = {"image": Mode(), "text": Mode(images={}, image_default=0.0)}
    spoken = {
        "image+lm": Mode(language=0.4, length=0.6),
        "text+lm": Mode(images={}, image_default=0.0, language=0.4, length=0.6),
    }
    return JudgeModel(modes=base | spoken)


def load_judge(path: Path) -> JudgeModel:
    """Read a judge; raises `AssetError` for a file that is missing, damaged or of another kind."""
    try:
        if path.stat().st_size > LARGEST:
            raise AssetError(f"{path}: too large for a combiner")
        text = path.read_text(encoding="utf-8")
        data = json.loads(text, parse_constant=_number, parse_float=_number)
        if not isinstance(data, dict) or data.get("format") not in _READ:
            raise AssetError(f"{path}: not a combiner file of ensemble-htr (wanted '{FORMAT}')")
        return from_mapping(data, JudgeModel, str(path))
    except OSError as error:
        raise AssetError(f"{path}: cannot read the combiner: {error.strerror}") from None
    except (ValueError, ConfigError, RecursionError) as error:
        raise AssetError(f"{path}: the combiner file is damaged ({error})") from None


def _number(text: str) -> float:
    value = float(text)
    if not abs(value) <= _LARGEST_WEIGHT:
        raise ValueError(f"{text} is no weight")
    return value


def dump_judge(model: JudgeModel) -> str:
    """The model as JSON text."""
    text = json.dumps(to_mapping(model), indent=1, ensure_ascii=False, allow_nan=False)
    rows = re.compile(r'\[\n\s*([^\[\]{}"]*?)\n\s*\]')  # a list of numbers: on one line
    return rows.sub(lambda m: f"[{re.sub(chr(10) + ' *', ' ', m[1])}]", text) + "\n"
