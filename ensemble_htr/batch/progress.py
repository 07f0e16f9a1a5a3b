"""How far a run is: a bar with the time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ensemble_htr.errors import printable

__all__ = ["Progress", "captured_warnings"]

_EVERY = 10.0  # seconds between lines where stderr is no terminal
_LOG = logging.getLogger("ensemble_htr")


class Progress:
    """Progress on stderr, counted in pages (or other ``unit``) and lines. A context manager.

    The time left is judged by the pages that were worked on, not by those that needed no work.
    """

    def __init__(self, total: int, unit: str = "page", every: float = _EVERY) -> None:
        self._total = total
        self._unit = unit
        self._every = every
        self._done = self._worked = self._lines = 0
        self._start = self._last = time.monotonic()
        self._bar: Any = None
        if total > 1 and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit=unit, dynamic_ncols=True, file=sys.stderr)

    def say(self, message: str) -> None:
        """One line on stderr, above the bar."""
        line = printable(message)
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def advance(self, lines: int, worked: bool = True) -> None:
        """One page more, of ``lines`` lines."""
        self._done += 1
        self._worked += worked
        self._lines += lines
        now = time.monotonic()
        if self._bar is not None:
            self._bar.set_postfix_str(f"{self._lines} lines", refresh=False)
            self._bar.update()
        elif now - self._last >= self._every and self._done < self._total:
            self._last = now
            taken = now - self._start
            left = taken / max(1, self._worked) * (self._total - self._done)
            self.say(
                f"{self._done} of {self._total} {self._unit}s, {self._lines} lines, "
                f"{self._lines / taken:.1f} lines/s, about {_duration(left)} left"
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


@contextmanager
def captured_warnings() -> Iterator[list[str]]:
    """Collect what our own code warns of here, so that it can be said where the user looks."""
    handler = _Collector()
    _LOG.addHandler(handler)
    _LOG.propagate = False
    try:
        yield handler.messages
    finally:  # in whatever order collectors end: the last one opens the way again
        _LOG.removeHandler(handler)
        _LOG.propagate = not any(isinstance(h, _Collector) for h in _LOG.handlers)


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
