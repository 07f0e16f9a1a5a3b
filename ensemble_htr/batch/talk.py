"""What a run says on stderr when all is done."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from ensemble_htr.batch.outcomes import RunSummary
from ensemble_htr.errors import printable

__all__ = ["MOST_FAILURES", "listed", "say", "told"]

MOST_FAILURES = 3  # a page that failed so often is left alone until it changes
_MOST_NAMED = 50  # failed pages in the list at the end
_FEW = 10  # pages whose messages are still on the screen


def say(message: str) -> None:
    """One line on stderr."""
    print(printable(message), file=sys.stderr, flush=True)


def told(summary: RunSummary, unit: str = "page") -> str:
    """The summary in one line."""
    rate = f", {summary.lines / summary.seconds:.1f} lines/s" if summary.lines else ""
    lines = f"{summary.lines} line{'s' * (summary.lines != 1)}"
    time_taken = f"in {summary.seconds:.1f} s{rate}"
    parts = [f"{summary.done} {unit}{'s' * (summary.done != 1)} done ({lines} {time_taken})"]
    if unit == "part":  # our own way to cut the work: nothing to the user
        parts = [f"{lines} done {time_taken}"]
    if summary.before and unit == "part":
        parts.append(f"{summary.before} lines skipped, finished before")
    if summary.skipped:
        parts.append(f"{summary.skipped} skipped, finished before")
    if summary.kept:
        parts.append(
            f"{summary.kept} lines hold a text that a human confirmed and that stays "
            "(--overwrite replaces it)"
        )
    if summary.given_up:
        parts.append(
            f"{len(summary.given_up)} left out that failed {MOST_FAILURES} times before "
            "(--retry-failed tries again)"
        )
    if summary.failed:
        parts.append(f"{len(summary.failed)} FAILED (named above)")
    return "; ".join(parts)


def listed(summary: RunSummary, retried: bool) -> Iterator[str]:
    """Which engines were left out of lines; the failed pages once more, where other lines came
    between; with ``retried`` also that there were none to try again."""
    for engine, (count, lines) in sorted(summary.left_out.items()):
        named = ", ".join(printable(line, 60) for line in lines)
        yield (
            f"engine {engine}: left out of {count} line{'s' * (count != 1)} where it reads another "
            f"line than the rest ({named}{', ...' if count > len(lines) else ''})"
        )
    if retried and not (summary.done or summary.failed):
        yield "no page of these has failed before: nothing to try again"
    if summary.done + summary.skipped + len(summary.failed) > _FEW:
        yield from _named("failed", summary.failed)
    yield from _named("left out", summary.given_up)


def _named(what: str, pages: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield from (f"{what}: {message}" for _, message in pages[:_MOST_NAMED])
    if len(pages) > _MOST_NAMED:
        yield f"{what}: {len(pages) - _MOST_NAMED} more"
