"""Reading pages: from sources to files, page by page, resumed where an earlier run stopped."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ensemble_htr import __version__
from ensemble_htr.batch.journal import Journal
from ensemble_htr.batch.pool import explanation
from ensemble_htr.batch.progress import captured_warnings
from ensemble_htr.batch.run import (
    STREAMED,
    Folder,
    Outcome,
    RunOptions,
    RunSummary,
    Stream,
    cores,
    run,
)
from ensemble_htr.errors import InputError, OutputError, UsageError
from ensemble_htr.io.results import PageResult
from ensemble_htr.io.review import REVIEW, merge_review, review_file, review_rows
from ensemble_htr.io.sources import PageSource, find_pages, require_distinct_stems
from ensemble_htr.io.write import render_result, writer
from ensemble_htr.types import Page

if TYPE_CHECKING:
    from ensemble_htr.pipeline import Pipeline, PipelineOptions

__all__ = [
    "PageOutput",
    "failure",
    "fingerprint",
    "refresh_review",
    "require_other_folder",
    "run_pages",
    "say",
    "seed_of",
    "shard_argument",
    "told",
    "transcribe",
]

_GROUP = 32  # ready-cut line images that are read together


@dataclass(frozen=True, slots=True)
class ReadTask:
    """Pages for one worker: one with an XML, or a group of line images. ``known`` are the
    fingerprints that they were finished with ("" = not finished)."""

    first: int
    sources: tuple[PageSource, ...]
    known: tuple[str, ...]

    @property
    def pages(self) -> Sequence[tuple[int, str, str]]:
        return [(self.first + i, s.stem, str(s.path)) for i, s in enumerate(self.sources)]

    def split(self) -> Sequence[ReadTask]:
        known = zip(self.sources, self.known, strict=True)
        return [ReadTask(self.first + i, (s,), (k,)) for i, (s, k) in enumerate(known)]


@dataclass(frozen=True, slots=True)
class PageOutput:
    """How a result becomes an outcome; ``seed`` is what all pages of a run have in common."""

    options: RunOptions
    seed: str

    def formats(self, page: Page) -> tuple[str, ...]:
        """What was asked for, else the XML of the input's own kind (PAGE for images) and text."""
        return self.options.formats or (page.format if page.format == "alto" else "page", "txt")

    def outcome(self, order: int, result: PageResult, found: str, seconds: float) -> Outcome:
        """Render ``result``; raises `EnsembleError` where the writers do."""
        options, page = self.options, result.page
        formats, lines = self.formats(page), result.readings
        path = str(page.source or page.image or page.stem)
        base = Outcome(order, page.stem, path, lines=len(lines), seconds=seconds, fingerprint=found)
        if options.out is None:
            data = b"".join(writer(f).render(result, options.write) for f in formats)
            return replace(base, parts=((formats[0], data),))
        confirmed = sum(line.confirmed for line in page.lines if line.id in lines)
        files = render_result(result, options.out, formats, options.write)
        review = review_file(page.stem, review_rows(result, options.write))
        return replace(
            base,
            files=(*((path.name, data) for path, data in files), review),
            kept=0 if options.overwrite or set(formats) <= set(STREAMED) else confirmed,
            explained=self.explained(result),
        )

    def explained(self, result: PageResult) -> tuple[str, ...]:
        wanted = self.options.explain
        if wanted is None or wanted not in result.readings:
            return ()
        from ensemble_htr.report import explain

        return (explain(f"{result.page.stem} {wanted}", result.readings[wanted]),)


def fingerprint(seed: str, page: Page, *more: str) -> str:
    """sha256 over ``seed``, the bytes of the page's XML and image, its document and ``more``.

    Raises `InputError` for a file that cannot be read; an image that is missing counts as empty.
    """
    parts = [seed, page.stem, page.doc, *more]
    for path in (page.source, page.image):
        try:
            if path is not None:
                with open(path, "rb") as stream:
                    parts.append(hashlib.file_digest(stream, "sha256").hexdigest())
            else:
                parts.append("")
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def failure(order: int, key: str, path: str, error: Exception) -> Outcome:
    """A page that failed, with a message that names it."""
    message = explanation(error)
    if path not in message:
        message = f"{path}: {message}"
    return Outcome(order, key, path, "failed", message)


def seed_of(pipeline: Pipeline, options: RunOptions, *more: object) -> str:
    """What decides the output files of every page alike."""
    formats = ",".join(options.formats or ("default",))
    return "\0".join(
        map(str, (__version__, pipeline.fingerprint(), formats, options.write, *more))
    )


class _Reader:
    """The handler of `ReadTask`."""

    def __init__(self, options: PipelineOptions, run_options: RunOptions) -> None:
        from ensemble_htr.pipeline import Pipeline

        self._pipeline = Pipeline.load(options)
        self.notices = list(self._pipeline.notices)
        self._output = PageOutput(run_options, seed_of(self._pipeline, run_options))

    def __call__(self, task: ReadTask) -> list[Outcome]:
        outcomes: list[Outcome] = []
        todo: list[tuple[int, PageSource, str]] = []
        for (order, key, path), source, known in zip(
            task.pages, task.sources, task.known, strict=True
        ):
            try:
                found, holds = self._look(source)
            except Exception as error:
                outcomes.append(failure(order, key, path, error))
                continue
            if known == found and not holds:
                outcomes.append(Outcome(order, key, path, "skipped"))
            else:
                todo.append((order, source, found))
        together = self._together(todo) if len(todo) > 1 else None
        return outcomes + (together or [self._one(*each) for each in todo])

    def _look(self, source: PageSource) -> tuple[str, bool]:
        """The page's fingerprint, and whether it holds the line to explain."""
        with captured_warnings():  # said when the page is read
            page = source.read()
        wanted = self._output.options.explain
        holds = wanted is not None and any(line.id == wanted for line in page.lines)
        return fingerprint(self._output.seed, page), holds

    def _together(self, todo: Sequence[tuple[int, PageSource, str]]) -> list[Outcome] | None:
        """Pages of one line, read at once; None if any of them cannot be read."""
        begun = time.monotonic()
        try:
            with captured_warnings() as warnings:
                results = self._pipeline.read_pages([source for _, source, _ in todo])
                seconds = (time.monotonic() - begun) / len(todo)
                outcomes = [
                    self._output.outcome(order, result, found, seconds)
                    for (order, _, found), result in zip(todo, results, strict=True)
                ]
        except Exception:
            return None  # page by page will tell which one it is
        outcomes[0] = replace(outcomes[0], notices=tuple(warnings))
        return outcomes

    def _one(self, order: int, source: PageSource, found: str) -> Outcome:
        begun = time.monotonic()
        with captured_warnings() as warnings:
            try:
                result = self._pipeline.read_page(source)
                outcome = self._output.outcome(order, result, found, time.monotonic() - begun)
            except Exception as error:
                outcome = failure(order, source.stem, str(source.path), error)
        return replace(outcome, notices=tuple(warnings))


def run_pages(
    sources: Sequence[PageSource], options: PipelineOptions, run_options: RunOptions
) -> RunSummary:
    """Read ``sources`` and write what ``run_options`` asks for.

    A page that fails is said on stderr and in the summary, the others go on; a page that an
    earlier run finished with the same image, XML, models and options is skipped. Raises
    `OutputError` before any work where the output cannot be written, `InputError` for two pages
    of one name, and what `Pipeline.load` raises. With more than one job call it below
    ``if __name__ == "__main__"``: the workers import the main module.
    """
    start = partial(_Reader, options, run_options)
    jobs = run_options.jobs or cores()
    if run_options.out is None:
        tasks = _tasks(sources, [""] * len(sources), jobs)
        return run(start, tasks, jobs, Stream())
    require_distinct_stems(sources)
    for folder in {source.path.parent for source in sources}:
        require_other_folder(run_options.out, folder)
    with Journal.open(run_options.out, say) as journal:
        tasks = _tasks(sources, [journal.finished(s.stem) for s in sources], jobs)
        summary = run(start, tasks, jobs, Folder(run_options.out, journal))
    refresh_review(run_options.out, summary)
    return summary


def transcribe(
    inputs: Sequence[Path],
    options: PipelineOptions,
    run_options: RunOptions,
    shard: tuple[int, int] = (1, 1),
) -> RunSummary:
    """The command ``transcribe``: find the pages that ``inputs`` mean and read the ``shard``'s.

    Says the summary on stderr. An input without pages counts as failed beside others that have
    some; raises `InputError` if no input has any, and what `run_pages` raises.
    """
    errors: list[InputError] = []
    sources = find_pages(inputs, errors.append)
    if errors and not sources:
        for error in errors[:-1]:
            say(f"ensemble-htr: error: {error}")
        raise errors[-1]
    for error in errors:
        say(f"ensemble-htr: error: {error}")
    summary = run_pages(sources[shard[0] - 1 :: shard[1]], options, run_options)
    missing = tuple(("", str(error)) for error in errors)
    if run_options.explain is not None and not summary.explained:
        message = f"no line '{run_options.explain}' was read; --explain wants the id of a line"
        say(f"ensemble-htr: error: {message}")
        missing += (("", message),)
    summary = replace(summary, failed=summary.failed + missing)
    say(told(summary))
    return summary


def told(summary: RunSummary, unit: str = "page") -> str:
    """The summary in one line."""
    rate = f", {summary.lines / summary.seconds:.1f} lines/s" if summary.lines else ""
    lines = f"{summary.lines} line{'s' * (summary.lines != 1)}"
    time_taken = f"in {summary.seconds:.1f} s{rate}"
    parts = [f"{summary.done} {unit}{'s' * (summary.done != 1)} done ({lines} {time_taken})"]
    if unit == "part":  # our own way to cut the work: nothing to the user
        parts = [f"{lines} done {time_taken}"]
    if summary.skipped:
        parts.append(f"{summary.skipped} skipped, finished before")
    if summary.kept:
        parts.append(
            f"{summary.kept} lines hold a text that a human confirmed and that stays "
            "(--overwrite replaces it)"
        )
    if summary.failed:
        parts.append(f"{len(summary.failed)} FAILED (named above)")
    return "; ".join(parts)


def refresh_review(out: Path, summary: RunSummary) -> None:
    """Write ``OUT/review.csv`` anew where a run has changed what it says."""
    if summary.done or not (out / REVIEW).is_file():
        merge_review(out)


def shard_argument(value: str | None) -> tuple[int, int]:
    """``i/n`` as two numbers, 1 <= i <= n; raises `UsageError`."""
    if value is None:
        return 1, 1
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", value.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard '{value}': wanted i/n with 1 <= i <= n, for example 2/4")
    return int(match[1]), int(match[2])


def require_other_folder(out: Path, folder: Path) -> None:
    """Raise `OutputError` if ``out`` is the folder of an input."""
    try:
        same = out.samefile(folder)
    except OSError:
        return
    if same:
        raise OutputError(
            f"{out}: is the folder of the input, and inputs are never overwritten; "
            "choose another output folder"
        )


def say(message: str) -> None:
    """One line on stderr."""
    import sys

    print(" ".join(message.split()), file=sys.stderr, flush=True)


def _tasks(sources: Sequence[PageSource], known: Sequence[str], jobs: int) -> list[ReadTask]:
    """One task a page; line images that follow one another in groups, at least one a job."""
    images = sum(source.xml is None for source in sources)
    most = max(1, min(_GROUP, -(-images // jobs)))
    tasks: list[ReadTask] = []
    for order, (source, print_) in enumerate(zip(sources, known, strict=True)):
        last = tasks[-1] if tasks else None
        if (
            last is not None
            and source.xml is None
            and last.sources[0].xml is None
            and len(last.sources) < most
        ):
            tasks[-1] = ReadTask(last.first, (*last.sources, source), (*last.known, print_))
        else:
            tasks.append(ReadTask(order, (source,), (print_,)))
    return tasks
