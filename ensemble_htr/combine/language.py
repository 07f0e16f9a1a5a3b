"""The language model as a voice: what it says of a whole text, digits and runs left out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rapidfuzz.distance import Postfix, Prefix

from ensemble_htr.combine.model import BACKWARD, MODULE
from ensemble_htr.protocols import LanguageModel
from ensemble_htr.text import is_number, is_run

__all__ = ["Backward", "ModuleVoice", "Speaker", "Spoken", "is_exempt"]


@dataclass(frozen=True, slots=True)
class Spoken:
    """``logp``: natural log over the tokens the LM may judge, line end included; ``tokens``: how
    many those are; ``each``: its part for each token of the text, 0 where it may not judge."""

    logp: float
    tokens: int
    each: tuple[float, ...] = ()


_LONG = 3  # a run of more is none the less one


def is_exempt(token: str, run: int) -> bool:
    """Numbers and runs of one symbol (as in the beam) are not the language model's to judge."""
    return is_number(token) or is_run(token, run)


class Speaker:
    """Asks a language model and remembers its answers (lines share most of their contexts)."""

    def __init__(self, lm: LanguageModel, limit: int = 300_000) -> None:
        self._lm, self._limit = lm, limit
        self._known: dict[tuple[Hashable, str, int], tuple[float | None, Hashable]] = {}
        self._ends: dict[Hashable, float] = {}

    def start(self) -> Hashable:
        return self._lm.start()

    def ask(self, state: Hashable, token: str, run: int) -> tuple[float | None, Hashable]:
        """Natural log-probability of ``token``, the ``run``-th of its kind in a row, after
        ``state``, None where the model may not judge it, and the state after both."""
        key = (state, token, run if run < _LONG else _LONG)
        answer = self._known.get(key)
        if answer is None:
            if len(self._known) > self._limit:
                self._known.clear()
            logp, after = self._lm.score(state, token)
            answer = self._known[key] = None if is_exempt(token, run) else logp, after
        return answer

    def end(self, state: Hashable) -> float:
        answer = self._ends.get(state)
        if answer is None:
            if len(self._ends) > self._limit:
                self._ends.clear()
            answer = self._ends[state] = self._lm.end(state)
        return answer

    def text(self, tokens: Sequence[str]) -> Spoken:
        """What the model says of a whole line."""
        return self.texts([tokens])[0]

    def texts(self, texts: Sequence[Sequence[str]]) -> list[Spoken]:
        """What the model says of each of many lines; where they begin alike, and where they end
        alike and the model is of the same mind again, it is asked once."""
        said: dict[int, Spoken] = {}
        last = _Heard((), [(self.start(), 0)], [])
        for number in sorted(range(len(texts)), key=lambda i: tuple(texts[i])):
            tokens = texts[number]
            same = Prefix.similarity(last.tokens, tokens)
            shift = len(last.tokens) - len(tokens)
            shorter = min(len(last.tokens), len(tokens))
            tail = len(tokens) - min(Postfix.similarity(last.tokens, tokens), shorter - same)
            states, each = last.states[: same + 1], last.each[:same]
            state, run = states[same]
            before = tokens[same - 1] if same else ""
            for i in range(same, len(tokens)):
                if i > tail and last.states[i + shift] == (state, run):
                    states += last.states[i + shift + 1 :]
                    each += last.each[i + shift :]
                    state = states[-1][0]
                    break
                token = tokens[i]
                run = run + 1 if token == before else 1
                before = token
                logp, state = self.ask(state, token, run)
                each.append(logp)
                states.append((state, run))
            parts = tuple(part or 0.0 for part in each)
            count = len(each) - each.count(None)
            said[number] = Spoken(sum(parts) + self.end(state), count, parts)
            last = _Heard(tokens, states, each)
        return [said[number] for number in range(len(texts))]


class _Heard(NamedTuple):
    """A text, the model's state and the run of one symbol before and after each token, and what
    the model said of the token, None where it may not judge."""

    tokens: Sequence[str]
    states: list[tuple[Hashable, int]]
    each: list[float | None]


class Backward:
    """A model of lines read from their end, as a `protocols.TextVoice`: what follows a character
    speaks for it where the language model knows only what came before."""

    name = BACKWARD

    def __init__(self, lm: LanguageModel) -> None:
        self._speaker = Speaker(lm)

    def speak(self, texts: Sequence[tuple[str, ...]]) -> list[float]:
        """Natural log of what may be judged of each text, read from its end."""
        return [said.logp for said in self._speaker.texts([text[::-1] for text in texts])]


class ModuleVoice:
    """The language module of a recognizer that writes, as a `protocols.TextVoice`; ``tell`` gives
    of each text what it says of every token and of the end."""

    name = MODULE

    def __init__(self, tell: Callable[[Sequence[tuple[str, ...]]], list[list[float]]]) -> None:
        self._tell = tell

    def speak(self, texts: Sequence[tuple[str, ...]]) -> list[float]:
        """The sum of what may be judged of each text."""
        return [
            sum(each) - sum(said for said, out in zip(each, _exempt(text), strict=False) if out)
            for text, each in zip(texts, self._tell(texts), strict=True)
        ]


def _exempt(text: Sequence[str]) -> list[bool]:
    """Of each token whether no language model may judge it."""
    found, run, before = [], 0, ""
    for token in text:
        run = run + 1 if token == before else 1
        before = token
        found.append(is_exempt(token, run))
    return found
