"""Combining what any engines read, with or without the line images."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ensemble_htr.assets import sha256_file
from ensemble_htr.batch.engines import Engine, MergedLine, load_engines
from ensemble_htr.batch.journal import HIDDEN, LINES, Finished, Journal
from ensemble_htr.batch.judging import REVIEW_GROUP, CombineTask, Judging
from ensemble_htr.batch.merging import Merged, merge
from ensemble_htr.batch.outcomes import Outcome, RunSummary
from ensemble_htr.batch.pages import gave_up, own_folder, refresh_review, require_other_folder
from ensemble_htr.batch.places import Folder, Stream
from ensemble_htr.batch.progress import Progress
from ensemble_htr.batch.run import STREAMED, RunOptions, cores, run
from ensemble_htr.batch.spool import Spool
from ensemble_htr.batch.stamps import seed_of, settled, stamp
from ensemble_htr.batch.talk import listed, say, told
from ensemble_htr.combine.model import load_judge
from ensemble_htr.errors import InputError, OutputError, UsageError, printable
from ensemble_htr.files import atomic_write
from ensemble_htr.io.review import REVIEW, clear_review
from ensemble_htr.io.sources import PageSource, find_pages
from ensemble_htr.io.write import FORMATS

if TYPE_CHECKING:
    from ensemble_htr.pipeline import PipelineOptions

__all__ = ["CombineOptions", "combine"]

MATCHING = "matching.json"  # how the engines' rows found their lines
_REST = "combined"  # the stem of what is written of lines on no page
_COMBINED = tuple(f"{_REST}.{name}" for name in STREAMED)
_CHUNK = 64  # lines without a page in one task
_FEW = 1000  # lines up to which starting processes is not worth while
_JOB = "/job"  # the journal's key for all pages together; no page is called so

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CombineOptions:
    """What is combined: engines as (name, path), and a folder of images for our own recognizers."""

    engines: tuple[tuple[str, Path], ...]
    images: Path | None = None

    def __post_init__(self) -> None:
        if not self.engines:
            raise UsageError("wanted at least one --engine NAME=PATH")


@dataclass(frozen=True, slots=True)
class _Job:
    """What is to be combined, found but not yet read."""

    engines: Sequence[Engine]
    options: RunOptions
    models: PipelineOptions
    seed: str
    pages: Mapping[str, Path]  # of the first engine that has each
    images: Mapping[str, PageSource]  # pages and line images of --images by stem
    shard: tuple[int, int] = (1, 1)
    manifests: tuple[Path, ...] = field(default=())

    @classmethod
    def of(
        cls, combined: CombineOptions, models: PipelineOptions, options: RunOptions,
        shard: tuple[int, int],
    ) -> _Job:  # fmt: skip
        from ensemble_htr.plan import fingerprint

        engines = load_engines(combined.engines, own_folder(options.out))
        seed = seed_of(fingerprint(models), options, models.images, *(e.name for e in engines))
        engines.sort(key=lambda engine: not engine.xml)  # whose pages are written name the lines
        pages: dict[str, Path] = {}
        for engine in engines:
            for stem, path in engine.xml.items():
                pages.setdefault(stem, path)
        found = find_pages([combined.images]) if combined.images is not None else []
        folders = {file.parent / "manifest.csv" for engine in engines for file in engine.files}
        return cls(
            engines,
            options,
            models,
            seed,
            pages,
            {source.stem: source for source in found},
            shard,
            tuple(sorted(path for path in folders if path.is_file())),
        )

    @property
    def unit(self) -> str:
        return "page" if self.pages else "part"

    @property
    def owners(self) -> dict[str, int]:
        """The number of the engine whose page is written, of each page; -1 for one that is not,
        since some engine's file of it is broken."""
        broken = {f for engine in self.engines for f in engine.broken}
        found: dict[str, int] = {}
        for number, engine in enumerate(self.engines):
            for stem, file in engine.xml.items():
                found[stem] = -1 if file in broken else found.get(stem, number)
        return found

    def apart(self, merged: Merged) -> tuple[int, int]:
        """How many lines are on no page of the engines, and how many tasks they make."""
        rest = merged.keep_apart(self.owners)
        return rest, sum(1 for _ in _chunks(merged.rest_keys(), lambda key: self.together(key[0])))

    def files(self) -> Iterator[Path]:
        """All that the engines consist of, and the images."""
        yield from self.manifests
        for engine in self.engines:
            yield from engine.files
        for source in self.images.values():
            yield source.path
            if source.xml is not None:
                with contextlib.suppress(InputError):  # said when the page is read
                    yield source.read().image or source.path

    def stamp(self) -> str:
        """At a glance; with images there is none, since they are found by reading the pages."""
        return "" if self.images else stamp(self.files(), self.seed, f"{self.shard}")

    def content(self) -> str:
        """What decides the lines that are on no page."""
        found = hashlib.sha256(self.seed.encode())
        for path in self.files():
            found.update(str(path).encode("utf-8", "surrogateescape"))
            found.update(sha256_file(path).encode())
        return found.hexdigest()

    def picture(self, page: str, name: str) -> str:
        """The stem of a line's image, "" if there is none."""
        return next((key for key in (page, name) if key in self.images), "")

    def together(self, page: str) -> str:
        """What lines must share to be read in one task: their page, if there is an image of it."""
        return page if page in self.images else ""

    def sources(self, lines: Iterable[MergedLine]) -> tuple[PageSource, ...]:
        """Where the images of some lines are, each once."""
        keys = dict.fromkeys(self.picture(line.page, line.id) for line in lines)
        return tuple(self.images[key] for key in keys if key)

    def mine(self, order: int) -> bool:
        """Whether this shard does the task at this place."""
        return order % self.shard[1] == self.shard[0] - 1


def combine(
    combine_options: CombineOptions,
    options: PipelineOptions,
    run_options: RunOptions,
    shard: tuple[int, int] = (1, 1),
) -> RunSummary:
    """The command ``combine``: merge the engines' readings and write the result.

    Engines with XML give one result a page (of the first engine that has it), other lines go into
    ``combined.jsonl`` and ``combined.txt``. Says on stderr what each engine lacks. Raises
    `UsageError`, `InputError`, `OutputError` and what `Pipeline.load` raises.
    """
    job = _Job.of(combine_options, options, run_options, shard)
    _require_formats(job.pages, run_options)
    if run_options.out is None:
        with merge(job.engines) as merged:
            summary = _run(job, merged, job.apart(merged), Stream())
        return _finished(summary, job)
    _require_no_input(job, run_options.out)
    with Journal.open(run_options.out, say) as journal:
        seen = job.stamp()
        before = _as_before(job, journal, seen)
        summary = before or _into_folder(job, journal)
        if before is None:
            partly = shard != (1, 1) or run_options.retry_failed
            if summary.exit_code == 0 and not partly:
                finished, names = Finished("job", settled(seen)), [REVIEW, MATCHING]
                journal.record(_JOB, finished, names, summary.lines, 0.0)
        refresh_review(run_options.out, journal)
    return _finished(summary, job)


def _as_before(job: _Job, journal: Journal, seen: str) -> RunSummary | None:
    """The summary of a job that is finished, none of whose files has changed since."""
    looking = job.options.explain is not None or job.options.retry_failed
    if looking or not seen or journal.finished(_JOB).stamp != seen:
        return None
    lines = journal.other_lines()
    failed = not job.pages.keys().isdisjoint(journal.attempts())
    return None if lines is None or failed else RunSummary(skipped=len(job.pages), before=lines)


def _into_folder(job: _Job, journal: Journal) -> RunSummary:
    out = job.options.out
    assert out is not None
    with merge(job.engines, out / HIDDEN) as merged:
        rest, parts = job.apart(merged)
        matching = json.dumps(merged.summary(), ensure_ascii=False, indent=1)
        atomic_write(out / MATCHING, (matching + "\n").encode("utf-8", "replace"))
        if not rest:
            _remove_lines(out, journal)
            return _run(job, merged, (rest, parts), Folder(out, journal), journal)
        _require_other_stems(job)
        content = job.content()
        begin = partial(_forget_lines, out, journal, content)
        spool = Spool(out / HIDDEN / "parts.sqlite", content, begin)
        done, expected = set(spool.positions()), parts
        if journal.finished(LINES).fingerprint == content:
            done, expected = set(range(len(job.pages), len(job.pages) + parts)), 0
        place = Folder(out, journal, spool, len(job.pages), expected, Finished(content))
        return _run(job, merged, (rest, parts), place, journal, done)


def _forget_lines(out: Path, journal: Journal, content: str) -> None:
    """A new job's lines without a page replace those of the last, unless it is done already."""
    if journal.finished(LINES).fingerprint != content:
        clear_review(out, REVIEW_GROUP)


def _remove_lines(out: Path, journal: Journal) -> None:
    """Every line is on a page now: what an earlier run wrote of others is of no line any more."""
    old = journal.forget(LINES)
    for path in (out / name for name in _COMBINED if name in old):
        if path.is_file():
            path.unlink(missing_ok=True)
            say(f"{path}: removed, every line is on a page now")
    clear_review(out, REVIEW_GROUP)


def _run(
    job: _Job,
    merged: Merged,
    apart: tuple[int, int],
    place: Folder | Stream,
    journal: Journal | None = None,
    done: AbstractSet[int] = frozenset(),
) -> RunSummary:
    if not len(merged) and not job.pages:
        places = ", ".join(str(engine.path) for engine in job.engines)
        raise InputError(f"the engines hold no lines at all: {places}")
    for name, count in merged.missing.items():
        if count:
            say(f"engine {name}: {count} of {len(merged)} lines are missing")
    for line in merged.report():
        say(line)
    if job.models.combiner is not None:
        _report_unheard(job, job.models.combiner)
    rest, parts = apart
    if rest and job.pages:
        say(f"{rest} lines are on no page that is written: see combined.jsonl")
    if job.images:
        _report_blind(job, merged)
    texts = merged.sample() if job.models.lm else []
    start = partial(Judging, job.models, job.options, texts, job.seed)
    small = len(merged) <= _FEW and not job.images
    jobs = job.options.jobs or (1 if small else cores())
    total = -(-(len(job.pages) + parts) // job.shard[1])
    tasks = itertools.chain(_pages(job, merged, journal), _parts(job, merged, done))
    return run(start, tasks, jobs, place, Progress(total, job.unit))


def _pages(job: _Job, merged: Merged, journal: Journal | None) -> Iterator[CombineTask | Outcome]:
    """One task for each page of the engines."""
    failed = {} if journal is None else journal.attempts()
    retry = job.options.retry_failed
    broken = {file: error for engine in job.engines for file, error in engine.broken.items()}
    owners = job.owners
    for order, (stem, path) in enumerate(job.pages.items()):
        before = failed.get(stem)
        if not job.mine(order) or (retry and before is None):
            continue
        seen = stamp((engine.xml.get(stem) for engine in job.engines), job.seed)
        if before is not None and not retry and gave_up(before, seen):
            yield Outcome(order, stem, str(path), "given up", before.error)
            continue
        files = [engine.xml[stem] for engine in job.engines if stem in engine.xml]
        if bad := [broken[file] for file in files if file in broken]:
            yield Outcome(order, stem, str(path), "failed", str(bad[0]), stamp=seen)
            continue
        lines = merged.of_page(stem, owners[stem])
        known = "" if journal is None else journal.finished(stem).fingerprint
        sources = (job.images[stem],) if stem in job.images else ()
        yield CombineTask(order, stem, lines, path, sources, known, seen)


def _parts(job: _Job, merged: Merged, done: AbstractSet[int]) -> Iterator[CombineTask | Outcome]:
    """The lines that are on none of the engines' pages, some at a time."""
    chunks = _chunks(merged.rest(), lambda line: job.together(line.page))
    for order, lines in enumerate(chunks, len(job.pages)):
        if not job.mine(order):
            continue
        wanted = any(line.id == job.options.explain for line in lines)
        if order in done and not wanted:
            yield Outcome(order, f"part {order}", "", "skipped", lines=len(lines))
        else:
            yield CombineTask(order, f"part {order}", tuple(lines), None, job.sources(lines))


def _chunks(items: Iterable[T], together: Callable[[T], str]) -> Iterator[list[T]]:
    """At most `_CHUNK` items that follow one another and belong together."""
    for _, group in itertools.groupby(items, together):
        while chunk := list(itertools.islice(group, _CHUNK)):
            yield chunk


def _report_unheard(job: _Job, combiner: Path) -> None:
    """Say which engines a judge that `fit` made does not know."""
    known = load_judge(combiner).facts.get("engines")
    if not isinstance(known, (list, tuple)) or not known:
        return
    if unheard := [engine.name for engine in job.engines if engine.name not in known]:
        names = ", ".join(printable(str(name), 60) for name in known)
        say(
            f"{combiner}: not fitted with {', '.join(unheard)} (its engines: {names}): "
            "such an engine has the mean vote"
        )


def _report_blind(job: _Job, merged: Merged) -> None:
    """Say how many lines our recognizers cannot see."""
    blind = (name for page, name in merged.rest_keys() if not job.picture(page, name))
    if (example := next(blind, None)) is not None:
        count = 1 + sum(1 for _ in blind)
        say(
            f"{count} lines have no image in --images (the first: '{example}'); wanted a page "
            "named as their 'page' or a line image named as their id: combined without it"
        )


def _finished(summary: RunSummary, job: _Job) -> RunSummary:
    explain = job.options.explain
    if explain is not None and not summary.explained:
        message = f"no engine has a line '{explain}'; --explain wants the id of a line"
        say(f"ensemble-htr: error: {message}")
        summary = replace(summary, failed=(*summary.failed, ("", message)))
    for line in listed(summary, job.options.retry_failed):
        say(line)
    say(told(summary, job.unit))
    return summary


def _require_formats(pages: Mapping[str, Path], options: RunOptions) -> None:
    trees = [name for name in options.formats or () if name not in STREAMED]
    if trees and not pages:
        raise UsageError(
            f"--format {trees[0]}: no engine has page XML to write into; wanted --format jsonl or "
            "txt, or an engine whose PATH is a folder of PAGE or ALTO"
        )


def _require_other_stems(job: _Job) -> None:
    """No page's files may have the names of those of the lines that are on none."""
    for stem, path in job.pages.items():
        if stem.casefold() == _REST:
            raise InputError(
                f"{path}: a page of this name would be written over what is found of the lines on "
                f"no page ({', '.join(_COMBINED)}); rename the page, in every engine"
            )


def _require_no_input(job: _Job, out: Path) -> None:
    """What the engines and the images consist of must not be where ours goes."""
    ours = {*_COMBINED} | {
        f"{stem}{each.extension}" for stem in job.pages for each in FORMATS.values()
    }
    folders = {source.path.parent for source in job.images.values()} if job.pages else set()
    for engine in job.engines:
        if engine.path.is_dir():
            folders |= {engine.path, *(file.parent for file in engine.files)}
        elif engine.xml:
            folders.add(engine.path.parent)
        elif engine.path.name in ours and _is_in(engine.path, out):
            raise OutputError(
                f"{engine.path}: is an input and would be overwritten; choose another output folder"
            )
    for folder in folders:
        require_other_folder(out, folder)


def _is_in(file: Path, out: Path) -> bool:
    try:
        return out.samefile(file.parent)
    except OSError:
        return False
