"""Combining what any engines read, with or without the line images."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ensemble_htr.batch.engines import Engine, MergedLine, load_engines, merge, sample
from ensemble_htr.batch.journal import Journal, require_writable
from ensemble_htr.batch.pages import (
    PageOutput,
    failure,
    fingerprint,
    refresh_review,
    require_other_folder,
    say,
    seed_of,
    told,
)
from ensemble_htr.batch.progress import captured_warnings
from ensemble_htr.batch.run import (
    STREAMED,
    Folder,
    Outcome,
    Place,
    RunOptions,
    RunSummary,
    Stream,
    cores,
    run,
)
from ensemble_htr.errors import InputError, OutputError, UsageError
from ensemble_htr.io.pages import read_page
from ensemble_htr.io.results import PageResult, one_line
from ensemble_htr.io.review import ReviewRow, clear_review, review_file, review_rows
from ensemble_htr.io.sources import PageSource, find_pages
from ensemble_htr.io.write_jsonl import row
from ensemble_htr.types import Line, Page, Reading

if TYPE_CHECKING:
    from ensemble_htr.pipeline import PipelineOptions

__all__ = ["CombineOptions", "combine"]

_REVIEW_GROUP = "lines"  # rows of lines without a page
_CHUNK = 64  # lines without a page in one task
_FEW = 1000  # lines up to which starting processes is not worth while


@dataclass(frozen=True, slots=True)
class CombineOptions:
    """What is combined: engines as (name, path), and a folder of images for our own recognizers."""

    engines: tuple[tuple[str, Path], ...]
    images: Path | None = None

    def __post_init__(self) -> None:
        if not self.engines:
            raise UsageError("wanted at least one --engine NAME=PATH")


@dataclass(frozen=True, slots=True)
class CombineTask:
    """The lines of one page: of the engines' XML (``xml``), or some that stand alone. ``source``
    says where their image is."""

    order: int
    key: str
    lines: tuple[MergedLine, ...]
    xml: Path | None = None
    source: PageSource | None = None
    known: str = ""

    @property
    def pages(self) -> Sequence[tuple[int, str, str]]:
        where = self.xml or (self.source.path if self.source else None)
        return [(self.order, self.key, str(where or f"line {self.lines[0].id}"))]

    def split(self) -> Sequence[CombineTask]:
        return [self]


class _Judge:
    """The handler of `CombineTask`."""

    def __init__(
        self, options: PipelineOptions, run_options: RunOptions, texts: Sequence[str]
    ) -> None:
        from ensemble_htr.pipeline import Pipeline

        self._pipeline = Pipeline.load(options)
        self.notices = list(self._pipeline.notices)
        self._use_lm = False
        if options.lm:
            self._use_lm, bits = self._pipeline.lm_fits(texts)
            verdict = "used" if self._use_lm else "not used, these texts are unlike its own"
            self.notices.append(f"language model: {verdict} ({bits:.2f} bits per character)")
        seed = seed_of(self._pipeline, run_options, options.images, self._use_lm)
        self._output = PageOutput(run_options, seed)

    def __call__(self, task: CombineTask) -> list[Outcome]:
        ((order, key, path),) = task.pages
        with captured_warnings() as warnings:
            try:
                outcome = self._page(task) if task.xml is not None else self._lines(task)
            except Exception as error:
                outcome = failure(order, key, path, error)
        return [replace(outcome, notices=tuple(warnings))]

    def _page(self, task: CombineTask) -> Outcome:
        assert task.xml is not None
        begun = time.monotonic()
        page = read_page(task.xml)
        if task.source is not None:
            image = task.source.image or task.source.read().image
            page = replace(page, image=image)
        print_ = fingerprint(self._output.seed, self._sans_image(page), repr(task.lines))
        wanted = self._output.options.explain
        if print_ == task.known and not any(line.id == wanted for line in page.lines):
            return Outcome(task.order, task.key, str(task.xml), "skipped")
        foreign = {line.id: line for line in task.lines}
        page, cut = self._cut(page)
        readings = {
            line.id: self._reading(foreign.get(line.id), cut.get(line.id))
            for line in page.lines
            if line.id in foreign or line.id in cut
        }
        result = PageResult(page, readings)
        return self._output.outcome(task.order, result, print_, time.monotonic() - begun)

    def _lines(self, task: CombineTask) -> Outcome:
        """Lines without a page of the engines' own: rows of the combined file."""
        begun = time.monotonic()
        cut: Mapping[str, Line] = {}
        if task.source is not None:
            cut = self._cut(task.source.read())[1]
        formats = self._output.options.formats or ("jsonl", "txt")
        parts: dict[str, bytes] = {}
        explained: tuple[str, ...] = ()
        review: list[ReviewRow] = []
        for line in task.lines:
            reading = self._reading(line, cut.get(line.id))
            page = Page(line.page, (Line(line.id),), doc=line.doc)
            review += review_rows(PageResult(page, {line.id: reading}))
            for name in [f for f in formats if f in STREAMED] or ["jsonl"]:
                parts[name] = parts.get(name, b"") + _row(page, line.id, reading, name)
            explained += self._output.explained(PageResult(page, {line.id: reading}))
        return Outcome(
            task.order,
            task.key,
            task.pages[0][2],
            files=(review_file(task.key, review, _REVIEW_GROUP),),
            parts=tuple(parts.items()),
            lines=len(task.lines),
            seconds=time.monotonic() - begun,
            explained=explained,
        )

    def _reading(self, line: MergedLine | None, cut: Line | None) -> Reading:
        rows, others = (line.rows, line.alternatives) if line else ((), ())
        if cut is not None:
            return self._pipeline.combine_with_image(cut, rows, others, self._use_lm)
        return self._pipeline.combine_line(rows, others, self._use_lm)

    def _cut(self, page: Page) -> tuple[Page, Mapping[str, Line]]:
        if not self._pipeline.options.images:
            return page, {}
        page, lines = self._pipeline.cut(page)
        return page, {line.id: line for line in lines}

    def _sans_image(self, page: Page) -> Page:
        """Without recognizers the image decides nothing (and need not be there)."""
        return page if self._pipeline.options.images else replace(page, image=None)


def combine(
    combine_options: CombineOptions, options: PipelineOptions, run_options: RunOptions
) -> RunSummary:
    """The command ``combine``: merge the engines' readings and write the result.

    Engines with XML give one result a page (of the first engine that has it), other lines go into
    ``combined.jsonl`` and ``combined.txt``. Says on stderr what each engine lacks. Raises
    `UsageError`, `InputError`, `OutputError` and what `Pipeline.load` raises.
    """
    engines = load_engines(combine_options.engines)
    pages: dict[str, Path] = {}
    for engine in engines:
        for stem, path in engine.xml.items():
            pages.setdefault(stem, path)
    _require_formats(pages, run_options)
    lines, missing = merge(engines)
    if not lines and not pages:
        raise InputError("the engines hold no lines at all")
    for name, count in missing.items():
        if count:
            say(f"engine {name}: {count} of {len(lines)} lines are missing")
    tasks = list(_tasks(lines, pages, _images(combine_options.images)))
    if combine_options.images is not None:
        _report_blind(tasks)
    start = partial(_Judge, options, run_options, sample(lines) if options.lm else [])
    small = len(lines) <= _FEW and combine_options.images is None
    jobs = run_options.jobs or (1 if small else cores())
    unit = "page" if pages else "part"
    if run_options.out is None:
        summary = run(start, tasks, jobs, Stream(), unit)
    else:
        summary = _into_folder(engines, run_options.out, start, tasks, jobs, unit)
    return _finished(summary, run_options, unit)


def _into_folder(
    engines: Sequence[Engine],
    out: Path,
    start: partial[_Judge],
    tasks: Sequence[CombineTask],
    jobs: int,
    unit: str,
) -> RunSummary:
    for engine in engines:
        _require_no_input(engine, out)
    require_writable(out)
    clear_review(out, _REVIEW_GROUP)
    if not any(task.xml for task in tasks):
        place: Place = Folder(out)
        summary = run(start, tasks, jobs, place, unit)
        refresh_review(out, summary)
        return summary
    with Journal.open(out, say) as journal:
        known = [
            replace(task, known=journal.finished(task.key)) if task.xml else task for task in tasks
        ]
        summary = run(start, known, jobs, Folder(out, journal), unit)
    refresh_review(out, summary)
    return summary


def _finished(summary: RunSummary, options: RunOptions, unit: str) -> RunSummary:
    if options.explain is not None and not summary.explained:
        message = f"no engine has a line '{options.explain}'; --explain wants the id of a line"
        say(f"ensemble-htr: error: {message}")
        summary = replace(summary, failed=(*summary.failed, ("", message)))
    say(told(summary, unit))
    return summary


def _require_formats(pages: Mapping[str, Path], options: RunOptions) -> None:
    trees = [name for name in options.formats or () if name not in STREAMED]
    if trees and not pages:
        raise UsageError(
            f"--format {trees[0]}: no engine has page XML to write into; wanted --format jsonl or "
            "txt, or an engine whose PATH is a folder of PAGE or ALTO"
        )


def _require_no_input(engine: Engine, out: Path) -> None:
    """An engine's own files must not be where ours go."""
    if engine.path.is_dir():
        require_other_folder(out, engine.path)
    for file in engine.xml.values():
        require_other_folder(out, file.parent)
    if engine.path.is_file() and engine.path.name in {f"combined.{f}" for f in STREAMED}:
        try:
            same = out.samefile(engine.path.parent)
        except OSError:
            return
        if same:
            raise OutputError(
                f"{engine.path}: is an input and would be overwritten; choose another output folder"
            )


def _images(folder: Path | None) -> dict[str, PageSource]:
    """Page images, pages and line images of the folder by stem."""
    if folder is None:
        return {}
    return {source.stem: source for source in find_pages([folder])}


def _tasks(
    lines: Sequence[MergedLine], pages: Mapping[str, Path], images: Mapping[str, PageSource]
) -> Iterator[CombineTask]:
    """One task for each page of the engines, then the lines that are on none of them."""
    own: dict[str, list[MergedLine]] = {stem: [] for stem in pages}
    rest: list[MergedLine] = []
    only = next(iter(pages)) if len(pages) == 1 else None
    for line in lines:
        place = line.page or only
        (own[place] if place in own else rest).append(line)
    order = 0
    for stem, path in pages.items():
        yield CombineTask(order, stem, tuple(own[stem]), path, images.get(stem))
        order += 1
    if rest and pages:
        say(f"{len(rest)} lines are on no page of an engine with XML: see combined.jsonl")

    def picture(line: MergedLine) -> str:
        return next((key for key in (line.page, line.id) if key in images), "")

    for key, group in itertools.groupby(rest, key=picture):
        members = list(group)
        for first in range(0, len(members), _CHUNK):
            chunk = tuple(members[first : first + _CHUNK])
            yield CombineTask(order, f"part {order}", chunk, None, images.get(key))
            order += 1


def _report_blind(tasks: Sequence[CombineTask]) -> None:
    """Say how many lines our recognizers cannot see."""
    blind = [task for task in tasks if task.xml is None and task.source is None]
    if count := sum(len(task.lines) for task in blind):
        example = blind[0].lines[0]
        say(
            f"{count} lines have no image in --images (the first: '{example.id}'); wanted a page "
            "named as their 'page' or a line image named as their id: combined without it"
        )


def _row(page: Page, line_id: str, reading: Reading, name: str) -> bytes:
    if name == "txt":
        return (one_line(reading.text) + "\n").encode("utf-8", "replace")
    data = json.dumps(row(page, line_id, reading), ensure_ascii=False, allow_nan=False)
    return (data + "\n").encode("utf-8", "replace")
