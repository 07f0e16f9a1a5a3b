"""Ctrl-C and a polite end (SIGTERM) wait for the batch at hand: nothing is done by halves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["interrupts"]


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM in a list instead of breaking a batch in two; the second of a
    kind breaks it. A process told to ignore Ctrl-C (``nohup``, a background job) goes on to."""
    caught: list[int] = []
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if threading.current_thread() is not threading.main_thread():  # not allowed to listen
        yield caught
        return

    def catch(number: int, _: Any) -> None:
        caught.append(number)
        signal.signal(number, usual[signal.Signals(number)])

    heard = [n for n, how in usual.items() if callable(how) or n == signal.SIGTERM]
    for number in heard:
        signal.signal(number, catch)
    try:
        yield caught
    finally:
        for number in heard:
            signal.signal(number, usual[number])
