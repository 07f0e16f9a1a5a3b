"""Reading pages: from sources to files, page by page, resumed where an earlier run stopped."""

from __future__ import annotations

import itertools
import logging
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ensemble_htr.batch.journal import HIDDEN, Attempt, Journal
from ensemble_htr.batch.outcomes import Outcome, RunSummary
from ensemble_htr.batch.places import Folder, Stream
from ensemble_htr.batch.pool import explanation
from ensemble_htr.batch.progress import Progress, captured_warnings
from ensemble_htr.batch.run import STREAMED, RunOptions, cores, run
from ensemble_htr.batch.stamps import fingerprint, seed_of, settled, stamp_of, unchanged
from ensemble_htr.batch.talk import MOST_FAILURES, listed, say, told
from ensemble_htr.errors import InputError, OutputError, UsageError
from ensemble_htr.io.results import PageResult
from ensemble_htr.io.review import REVIEW, merge_review, review_file, review_rows
from ensemble_htr.io.select import unmatched
from ensemble_htr.io.sources import ImagesAre, PageSource, find_pages, require_distinct_stems
from ensemble_htr.io.write import render_result, writer
from ensemble_htr.types import Page

if TYPE_CHECKING:
    from ensemble_htr.pipeline import PipelineOptions

__all__ = [
    "PageOutput",
    "failure",
    "left_out",
    "own_folder",
    "refresh_review",
    "require_other_folder",
    "run_pages",
    "shard_argument",
    "transcribe",
]

_LOG = logging.getLogger("ensemble_htr")
_LOOKED_AT = 500  # pages in which a name of --lines or --regions is looked for
_GROUP = 32  # ready-cut line images that are read together


@dataclass(frozen=True, slots=True)
class ReadTask:
    """Pages for one worker: one with an XML, or a group of line images."""

    first: int
    sources: tuple[PageSource, ...]

    @property
    def pages(self) -> Sequence[tuple[int, str, str]]:
        return [(self.first + i, s.stem, str(s.path)) for i, s in enumerate(self.sources)]

    def split(self) -> Sequence[ReadTask]:
        return [ReadTask(self.first + i, (s,)) for i, s in enumerate(self.sources)]


@dataclass(frozen=True, slots=True)
class PageOutput:
    """How a result becomes an outcome; ``seed`` is what all pages of a run have in common."""

    options: RunOptions
    seed: str

    def formats(self, page: Page) -> tuple[str, ...]:
        """What was asked for, else the input's own kind of file (PAGE for images) and text."""
        own = page.format if page.format in ("alto", "hocr") else "page"
        return self.options.formats or (own, "txt")

    def outcome(self, base: Outcome, result: PageResult) -> Outcome:
        """``base`` with ``result`` rendered; raises `EnsembleError` where the writers do."""
        options, page = self.options, result.page
        formats, lines = self.formats(page), result.readings
        base = replace(base, lines=len(lines), left_out=left_out(result))
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

        name = f"{result.page.stem} {wanted}".strip()
        return (explain(name, result.readings[wanted], evidence=True),)


def left_out(result: PageResult) -> tuple[tuple[str, str], ...]:
    """The engines whose readings were quarantined, with the line's page and id."""
    return tuple(
        (engine, "/".join(filter(None, (result.page.stem, name))))
        for name, reading in result.readings.items()
        if reading.network is not None
        for engine in reading.network.quarantined
    )


def failure(base: Outcome, error: Exception) -> Outcome:
    """A page that failed, with a message that names it."""
    message = explanation(error)
    if base.path not in message:
        message = f"{base.path}: {message}"
    return replace(base, state="failed", message=message, fingerprint="")


class _Reader:
    """The handler of `ReadTask`."""

    def __init__(self, options: PipelineOptions, run_options: RunOptions, seed: str) -> None:
        from ensemble_htr.pipeline import Pipeline

        self._pipeline = Pipeline.load(options)
        self.notices = list(self._pipeline.notices)
        self._output = PageOutput(run_options, seed)

    def __call__(self, task: ReadTask) -> list[Outcome]:
        outcomes: list[Outcome] = []
        todo: list[tuple[PageSource, Outcome]] = []
        for (order, key, path), source in zip(task.pages, task.sources, strict=True):
            base = Outcome(order, key, path, stamp=stamp_of(self._output.seed, source, None))
            try:
                found, seen = self._look(source)
            except Exception as error:
                outcomes.append(failure(base, error))
            else:
                todo.append((source, replace(base, fingerprint=found, stamp=seen)))
        together = self._together(todo) if len(todo) > 1 else None
        return outcomes + (together or [self._one(*each) for each in todo])

    def _look(self, source: PageSource) -> tuple[str, str]:
        """The page's fingerprint and stamp; of a stream nobody asks for them."""
        if self._output.options.out is None:
            return "", ""
        return looked(self._output.seed, source)[1:]

    def _together(self, todo: Sequence[tuple[PageSource, Outcome]]) -> list[Outcome] | None:
        """Pages of one line, read at once; None if any of them cannot be read."""
        begun = time.monotonic()
        try:
            with captured_warnings() as warnings:
                results = self._pipeline.read_pages([source for source, _ in todo])
                seconds = (time.monotonic() - begun) / len(todo)
                outcomes = [
                    self._output.outcome(replace(base, seconds=seconds), result)
                    for (_, base), result in zip(todo, results, strict=True)
                ]
        except Exception as error:  # page by page will tell which one it is
            _LOG.debug("%d pages at once: %r; read one by one", len(todo), error)
            return None
        outcomes[0] = replace(outcomes[0], notices=tuple(warnings))
        return outcomes

    def _one(self, source: PageSource, base: Outcome) -> Outcome:
        begun = time.monotonic()
        with captured_warnings() as warnings:
            try:
                outcome = self._output.outcome(base, self._pipeline.read_page(source))
            except Exception as error:
                seen = stamp_of(self._output.seed, source, None)
                outcome = failure(replace(base, stamp=seen), error)
        return replace(outcome, notices=tuple(warnings), seconds=time.monotonic() - begun)


def looked(seed: str, source: PageSource) -> tuple[Page, str, str]:
    """The page, its fingerprint and its stamp ("" where that is not to be trusted yet).

    The stamp is taken first: what changes while the page is looked at will be seen next time.
    """
    before = stamp_of(seed, source, None)
    with captured_warnings():  # said when the page is read
        page = source.read()
    stamp = stamp_of(seed, source, page.image)
    found = fingerprint(seed, page)
    same = stamp_of(seed, source, None) == before
    return page, found, settled(stamp) if same else ""


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
    from ensemble_htr.plan import fingerprint as models

    out = run_options.out
    seed = seed_of(models(options), run_options)
    start = partial(_Reader, options, run_options, seed)
    jobs = run_options.jobs or cores()
    progress = Progress(len(sources))
    if out is None:
        everything = ((i, source) for i, source in enumerate(sources))
        return run(start, _tasks(everything, len(sources), jobs), jobs, Stream(), progress)
    require_distinct_stems(sources)
    for folder in {source.path.parent for source in sources}:
        require_other_folder(out, folder)
    with Journal.open(out, say) as journal:
        todo = _todo(sources, journal, seed, run_options)
        tasks = _tasks(todo, len(sources), jobs)
        summary = run(start, tasks, jobs, Folder(out, journal), progress)
        refresh_review(out, journal)
    return summary


def _todo(
    sources: Sequence[PageSource], journal: Journal, seed: str, options: RunOptions
) -> Iterator[tuple[int, PageSource] | Outcome]:
    """What to do with each page: read it, or how it needs no work."""
    failed = journal.attempts()
    for order, source in enumerate(sources):
        base = Outcome(order, source.stem, str(source.path), "skipped")
        before = failed.get(source.stem)
        if options.retry_failed and before is None:
            continue
        if before and not options.retry_failed and gave_up(before, stamp_of(seed, source, None)):
            yield replace(base, state="given up", message=before.error)
        elif before is None and (outcome := _as_before(base, source, journal, seed, options)):
            yield outcome
        else:
            yield order, source


def gave_up(before: Attempt, stamp: str) -> bool:
    """Whether a page has failed too often as it is."""
    return before.count >= MOST_FAILURES and before.stamp == stamp


def _as_before(
    base: Outcome, source: PageSource, journal: Journal, seed: str, options: RunOptions
) -> Outcome | None:
    """The page skipped, if it is finished, unchanged and does not hold the line to explain."""
    old = journal.finished(source.stem)
    if not old.fingerprint:
        return None
    if options.explain is None and unchanged(old.stamp, seed, source):
        return base
    try:
        page, found, stamp = looked(seed, source)
    except InputError:
        return None  # reading it will say why
    unknown = not page.lines  # a bare page: they are found when it is read
    wanted = options.explain
    holds = wanted is not None and (unknown or any(x.id == wanted for x in page.lines))
    return replace(base, stamp=stamp) if found == old.fingerprint and not holds else None


def transcribe(
    inputs: Sequence[Path],
    options: PipelineOptions,
    run_options: RunOptions,
    shard: tuple[int, int] = (1, 1),
    images: ImagesAre = "auto",
) -> RunSummary:
    """The command ``transcribe``: find the pages that ``inputs`` mean and read the ``shard``'s.

    Says the summary on stderr. An input without pages counts as failed beside others that have
    some; raises `InputError` if no input has any, and what `run_pages` raises.
    """
    errors: list[InputError] = []
    out = run_options.out
    sources = find_pages(inputs, errors.append, images, own_folder(out))
    if errors and not sources:
        for error in errors[:-1]:
            say(f"ensemble-htr: error: {error}")
        raise errors[-1]
    for error in errors:
        say(f"ensemble-htr: error: {error}")
    if out is not None:
        for path in filter(Path.is_dir, inputs):
            require_other_folder(out, path)
    for notice in unmatched(options.select, _readable(sources)):
        say(notice)
    summary = run_pages(sources[shard[0] - 1 :: shard[1]], options, run_options)
    missing = tuple(("", str(error)) for error in errors)
    if run_options.explain is not None and not summary.explained:
        message = f"no line '{run_options.explain}' was read; --explain wants the id of a line"
        say(f"ensemble-htr: error: {message}")
        missing += (("", message),)
    summary = replace(summary, failed=summary.failed + missing)
    for line in listed(summary, run_options.retry_failed):
        say(line)
    say(told(summary))
    return summary


def _readable(sources: Sequence[PageSource]) -> Iterator[Page]:
    """The first pages that have lines of some type, as far as they can be read."""
    for source in itertools.islice((s for s in sources if s.xml is not None), _LOOKED_AT):
        with captured_warnings():
            try:
                page = source.read()
            except InputError:
                continue  # said when it is read
        yield page


def refresh_review(out: Path, journal: Journal) -> None:
    """Write ``OUT/review.csv`` anew where a run has changed what it says."""
    changed = journal.note("changed")
    if f"{changed} {_identity(out / REVIEW)}" != journal.note("merged"):
        written: list[str] = []
        merge_review(out, lambda file: written.append(_identity(file)))
        journal.set_note("merged", f"{changed} {written[0]}")


def _identity(path: Path) -> str:
    """Of a file as it was written: another shard may put an older one in its place."""
    try:
        seen = path.stat()
    except OSError:
        return ""
    return f"{seen.st_ino} {seen.st_mtime_ns} {seen.st_size}"


def shard_argument(value: str | None) -> tuple[int, int]:
    """``i/n`` as two numbers, 1 <= i <= n; raises `UsageError`."""
    if value is None:
        return 1, 1
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", value.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard '{value}': wanted i/n with 1 <= i <= n, for example 2/4")
    return int(match[1]), int(match[2])


def own_folder(out: Path | None) -> Path | None:
    """``out`` if an earlier run wrote there; None where it is new, or may be somebody else's."""
    return out if out is not None and (out / HIDDEN).is_dir() else None


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


def _tasks(
    todo: Iterable[tuple[int, PageSource] | Outcome], pages: int, jobs: int
) -> Iterator[ReadTask | Outcome]:
    """One task a page; line images that follow one another in groups, at least one a job."""
    most = max(1, min(_GROUP, -(-pages // jobs)))
    group: list[tuple[int, PageSource]] = []
    for item in todo:
        together = not isinstance(item, Outcome) and item[1].is_line
        follows = together and group and item[0] == group[-1][0] + 1  # type: ignore[index]
        if group and not (follows and len(group) < most):
            yield _task(group)
            group = []
        if isinstance(item, Outcome):
            yield item
        elif together:
            group.append(item)
        else:
            yield _task([item])
    if group:
        yield _task(group)


def _task(group: Sequence[tuple[int, PageSource]]) -> ReadTask:
    return ReadTask(group[0][0], tuple(source for _, source in group))
