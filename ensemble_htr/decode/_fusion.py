"""What the language model adds while a text grows, asked once for each (state, token)."""

from __future__ import annotations

import math
from collections.abc import Hashable

from ensemble_htr.protocols import LanguageModel
from ensemble_htr.text import is_number

__all__ = ["Context", "Fusion"]


class Context:
    """A state of the language model and the answers it has given there already."""

    __slots__ = ("answers", "end", "state")

    def __init__(self, state: Hashable) -> None:
        self.state = state
        self.answers: dict[str, tuple[float, Context]] = {}  # token -> (factor, context after it)
        self.end: float | None = None


class Fusion:
    """Turns a language model into factors ``exp(alpha * log p + beta)`` and remembers them.

    A digit, if ``exempt_digits``, has the factor ``exp(neutral)``. Lines of one document share
    most short contexts: the memory lives as long as its decoder, and starts anew with the first
    line after it has grown to ``limit`` answers.
    """

    def __init__(
        self,
        lm: LanguageModel,
        alpha: float,
        beta: float,
        neutral: float,
        exempt_digits: bool,
        limit: int = 200_000,
    ) -> None:
        self._lm = lm
        self._alpha, self._beta = alpha, beta
        self._neutral = neutral
        self._exempt_digits = exempt_digits
        self._limit = limit
        self._size = 0
        self._contexts: dict[Hashable, Context] = {}

    def start(self) -> Context:
        if self._size > self._limit:
            self._size = 0
            self._contexts = {}
        return self._context(self._lm.start())

    def ask(self, context: Context, token: str) -> tuple[float, Context]:
        """The factor of ``token`` after ``context`` and the context that follows."""
        answer = context.answers.get(token)
        if answer is None:
            logp, state = self._lm.score(context.state, token)
            nats = self._alpha * logp + self._beta
            if self._exempt_digits and is_number(token):
                nats = self._neutral
            answer = context.answers[token] = math.exp(nats), self._context(state)
            self._size += 1
        return answer

    def end(self, context: Context) -> float:
        """``alpha`` times the log-probability that the line ends after ``context``, in nats."""
        if context.end is None:
            context.end = self._alpha * self._lm.end(context.state)
        return context.end

    def _context(self, state: Hashable) -> Context:
        context = self._contexts.get(state)
        if context is None:
            context = self._contexts[state] = Context(state)
        return context
