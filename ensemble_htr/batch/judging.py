"""What a worker does for ``combine``: judge the readings of a page, or of lines without one."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ensemble_htr.batch.engines import MergedLine
from ensemble_htr.batch.outcomes import Outcome
from ensemble_htr.batch.pages import PageOutput, failure, left_out
from ensemble_htr.batch.progress import captured_warnings
from ensemble_htr.batch.run import STREAMED, RunOptions
from ensemble_htr.batch.stamps import fingerprint
from ensemble_htr.errors import InputError, printable
from ensemble_htr.io.pages import read_page
from ensemble_htr.io.results import PageResult, one_line
from ensemble_htr.io.review import ReviewRow, review_file, review_rows
from ensemble_htr.io.sources import PageSource
from ensemble_htr.io.write_jsonl import row
from ensemble_htr.types import Line, Page, Reading

if TYPE_CHECKING:
    from ensemble_htr.pipeline import PipelineOptions

__all__ = ["REVIEW_GROUP", "CombineTask", "Judging"]

_LOG = logging.getLogger("ensemble_htr")
_TOGETHER = 128  # lines read at a time
REVIEW_GROUP = "lines"  # rows of lines without a page


@dataclass(frozen=True, slots=True)
class CombineTask:
    """The lines of one page: of the engines' XML (``xml``), or some that stand alone. ``sources``
    say where their images are: one of their page, or those of lines."""

    order: int
    key: str
    lines: tuple[MergedLine, ...]
    xml: Path | None = None
    sources: tuple[PageSource, ...] = ()
    known: str = ""  # the fingerprint that the page was finished with
    stamp: str = ""

    @property
    def pages(self) -> Sequence[tuple[int, str, str]]:
        where = self.xml or (self.sources[0].path if len(self.sources) == 1 else None)
        return [(self.order, self.key, str(where or f"line {self.lines[0].id}"))]

    def split(self) -> Sequence[CombineTask]:
        return [self]


class Judging:
    """The handler of `CombineTask`."""

    def __init__(
        self, options: PipelineOptions, run_options: RunOptions, texts: Sequence[str], seed: str
    ) -> None:
        from ensemble_htr.pipeline import Pipeline

        self._pipeline = Pipeline.load(options)
        self.notices = list(self._pipeline.notices)
        self._use_lm = False
        if options.lm:
            self._use_lm, bits = self._pipeline.lm_fits(texts)
            verdict = "used" if self._use_lm else "not used, these texts are unlike its own"
            self.notices.append(f"language model: {verdict} ({bits:.2f} bits per character)")
        self._output = PageOutput(run_options, f"{seed} {self._use_lm}")

    def __call__(self, task: CombineTask) -> list[Outcome]:
        ((order, key, path),) = task.pages
        base, begun = Outcome(order, key, path, stamp=task.stamp), time.monotonic()
        with captured_warnings() as warnings:
            try:
                made = self._lines(task, base) if task.xml is None else self._page(task.xml, task)
            except Exception as error:
                made = failure(base, error)
        return [replace(made, notices=tuple(warnings), seconds=time.monotonic() - begun)]

    def _page(self, xml: Path, task: CombineTask) -> Outcome:
        from ensemble_htr.pipeline import unburdened

        page = read_page(xml)
        if task.sources:
            seen = task.sources[0].read()
            page = replace(page, image=seen.image, frame=seen.frame)
        found = fingerprint(self._output.seed, self._sans_image(page), repr(task.lines))
        base = Outcome(task.order, task.key, str(xml), fingerprint=found, stamp=task.stamp)
        wanted = self._output.options.explain
        if found == task.known and not any(line.id == wanted for line in page.lines):
            return replace(base, state="skipped", stamp="")
        foreign = {line.id: line for line in task.lines}
        page, cut = self._cut(page)
        ids = [line.id for line in page.lines if line.id in foreign or line.id in cut]
        readings = self._readings([(foreign.get(name), cut.get(name)) for name in ids])
        kept = unburdened(readings, len(page.lines))
        return self._output.outcome(base, PageResult(page, dict(zip(ids, kept, strict=True))))

    def _lines(self, task: CombineTask, base: Outcome) -> Outcome:
        """Lines without a page of the engines' own: rows of the combined file."""
        cut = self._pictures(task.sources)
        _tell_blind(task, cut)
        formats = self._output.options.formats or ("jsonl", "txt")
        parts: dict[str, bytes] = {}
        explained: tuple[str, ...] = ()
        review: list[ReviewRow] = []
        strangers: tuple[tuple[str, str], ...] = ()
        readings = self._readings([(line, cut.get(line.id)) for line in task.lines])
        for line, reading in zip(task.lines, readings, strict=True):
            page = Page(line.page, (Line(line.id),), doc=line.doc)
            result = PageResult(page, {line.id: reading})
            review += review_rows(result)
            strangers += left_out(result)
            for name in [f for f in formats if f in STREAMED] or ["jsonl"]:
                parts[name] = parts.get(name, b"") + _row(page, line.id, reading, name)
            explained += self._output.explained(result)
        return replace(
            base,
            files=(review_file(task.key, review, REVIEW_GROUP),),
            parts=tuple(parts.items()),
            lines=len(task.lines),
            explained=explained,
            left_out=strangers,
        )

    def _readings(
        self, lines: Sequence[tuple[MergedLine | None, Line | None]]
    ) -> Iterator[Reading]:
        """The readings of lines in turn; those with an image are read many at a time."""
        for start in range(0, len(lines), _TOGETHER):
            some = lines[start : start + _TOGETHER]
            told = [
                ((), ()) if line is None else (line.rows, line.alternatives) for line, _ in some
            ]
            seen = [i for i, (_, cut) in enumerate(some) if cut is not None]
            images = [cut for _, cut in some if cut is not None]
            rows, others = [told[i][0] for i in seen], [told[i][1] for i in seen]
            read = self._pipeline.combine_with_images(images, rows, others, self._use_lm)
            found = dict(zip(seen, read, strict=True))
            for i, given in enumerate(told):
                yield found[i] if i in found else self._pipeline.combine_line(*given, self._use_lm)

    def _pictures(self, sources: Sequence[PageSource]) -> dict[str, Line]:
        """The lines of some images. One that cannot be read fails its page; where it is of a line
        only, that line is combined without it."""
        found: dict[str, Line] = {}
        for source in sources:
            try:
                found |= self._cut(source.read())[1]
            except InputError as error:
                if source.xml is not None or source.whole:
                    raise
                _LOG.warning("%s; its line is combined without it", error)
        return found

    def _cut(self, page: Page) -> tuple[Page, Mapping[str, Line]]:
        if not self._pipeline.options.images:
            return page, {}
        page, lines = self._pipeline.cut(page)
        return page, {line.id: line for line in lines}

    def _sans_image(self, page: Page) -> Page:
        """Without recognizers the image decides nothing (and need not be there)."""
        return page if self._pipeline.options.images else replace(page, image=None)


def _tell_blind(task: CombineTask, cut: Mapping[str, Line]) -> None:
    """Warn of lines that are not on the image of their page: ids must be the same."""
    blind = [line.id for line in task.lines if line.id not in cut]
    if blind and (pages := [s for s in task.sources if not s.is_line]):
        _LOG.warning(
            "%s: %d of %d lines of page '%s' are not among the lines of this image (the first: "
            "'%s'); wanted the same ids: combined without it",
            pages[0].path,
            len(blind),
            len(task.lines),
            printable(task.lines[0].page, 80),
            printable(blind[0], 80),
        )


def _row(page: Page, line_id: str, reading: Reading, name: str) -> bytes:
    if name == "txt":
        return (one_line(reading.text) + "\n").encode("utf-8", "replace")
    data = json.dumps(row(page, line_id, reading), ensure_ascii=False, allow_nan=False)
    return (data + "\n").encode("utf-8", "replace")
