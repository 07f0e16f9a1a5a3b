"""From ground truth and systems to a `Report`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ensemble_htr.errors import InputError, UsageError
from ensemble_htr.evaluate.confidences import character_calibration, line_calibration
from ensemble_htr.evaluate.report import (
    Difference,
    LineScore,
    Pair,
    Report,
    Scores,
    SystemReport,
)
from ensemble_htr.io.readings import load_records
from ensemble_htr.io.records import Matching, Record, match_records
from ensemble_htr.metrics import (
    Counts,
    ErrorAgreement,
    Estimate,
    bootstrap_difference,
    bootstrap_rate,
    char_counts,
    edit_counts,
    error_agreement,
)
from ensemble_htr.metrics.bootstrap import DRAWS, LEVEL
from ensemble_htr.text import Profile, has_letter
from ensemble_htr.text import profile as profile_called

__all__ = ["evaluate", "score_records"]

_UNITS: tuple[tuple[str, Callable[[LineScore], tuple[str, ...]]], ...] = (
    ("document", lambda line: (line.doc,)),
    ("page", lambda line: (line.doc, line.page)),
    ("line", lambda line: (line.doc, line.page, line.id)),
)


def evaluate(
    ground_truth: Path,
    systems: Sequence[Path | tuple[str, Path]],
    profile: str = "fr-archive",
    letters_only: bool = False,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Report:
    """Score ``systems`` (paths, or name and path) against ``ground_truth``, all as `load_records`
    reads them.

    A system without a name is called by its file's stem or its folder's name, by its whole path
    where that is not unique. Raises `UsageError` for an unknown profile or a name given twice,
    `InputError` for files that cannot be read or do not belong together.
    """
    policy = profile_called(profile)
    paths = _named(systems)
    truth = load_records(ground_truth)
    readings = {name: load_records(path) for name, path in paths.items()}
    return score_records(
        truth, readings, policy, letters_only, draws=draws, seed=seed, source=str(ground_truth)
    )


def score_records(
    truth: Sequence[Record],
    systems: Mapping[str, Sequence[Record]],
    profile: Profile,
    letters_only: bool = False,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    source: str = "ground truth",
) -> Report:
    """Score systems that are in memory; see `evaluate`.

    Lines with the profile's unread mark are not scored. A line that a system lacks is scored as
    empty, a line that the ground truth lacks is not scored; both are counted and noticed. With
    ``letters_only`` the overall figures are over lines whose reference holds a letter.
    """
    wanted = [r for r in truth if profile.scorable(profile.apply(r.text))]
    scored = [r for r in wanted if not letters_only or has_letter(profile.apply(r.text))]
    if not scored:
        raise InputError(f"{source}: holds no line to score under profile '{profile.name}'")
    resample = _Resample(draws, seed)
    notices = []
    if unread := len(truth) - len(wanted):
        notices.append(f"{source}: {_lines(unread)} with {profile.unread} not scored")
    found: list[SystemReport] = []
    for name, readings in systems.items():
        whole = match_records(truth, readings, name)
        if readings and all(r is None for r in whole.found):
            raise InputError(
                f"{name}: none of its {len(readings)} lines is in {source}: its ids are like "
                f"{_key(readings[0])}, wanted are ids like {_key(truth[0])}"
            )
        here = {id(t): r for t, r in zip(truth, whole.found, strict=True)}
        matching = Matching(tuple(here[id(r)] for r in wanted), whole.extra)
        first = found[0] if found else None
        found.append(_system(name, wanted, matching, profile, letters_only, first, resample))
        notices += _notices(found[-1])
    overall = found[0].overall if found else None
    if overall is not None and overall.unit != "document":
        notices.append(
            f"{source}: only one document: the intervals resample {overall.unit}s, and say "
            "nothing of other documents"
        )
    return Report(
        profile=profile.name,
        profile_description=profile.description,
        ground_truth=source,
        letters_only=letters_only,
        lines=len(scored),
        unread=unread,
        draws=draws,
        level=LEVEL,
        seed=seed,
        systems=tuple(found),
        pairs=_pairs(found, profile, letters_only),
        notices=tuple(notices),
    )


class _Resample:
    """Bootstrap settings, and rates of lists of lines under them."""

    def __init__(self, draws: int, seed: int) -> None:
        self.draws = draws
        self.seed = seed

    def scores(self, lines: Sequence[LineScore]) -> Scores:
        unit, labels = _clusters(lines)
        characters = _per_cluster([line.characters for line in lines], labels)
        words = _per_cluster([line.words for line in lines], labels)
        return Scores(
            lines=len(lines),
            right=sum(line.characters.edits == 0 for line in lines),
            characters=Counts.sum(characters),
            words=Counts.sum(words),
            cer=self._rate(characters),
            wer=self._rate(words),
            unit=unit,
            clusters=len(characters),
        )

    def _rate(self, counts: Sequence[Counts]) -> Estimate:
        edits, totals = [c.edits for c in counts], [c.reference for c in counts]
        return bootstrap_rate(edits, totals, draws=self.draws, seed=self.seed)

    def difference(
        self,
        lines: Sequence[LineScore],
        others: Sequence[LineScore],
        counts: Callable[[LineScore], Counts],
    ) -> Estimate:
        """Paired difference over the same lines read by two systems."""
        _, labels = _clusters(lines)
        ours = _per_cluster([counts(line) for line in lines], labels)
        theirs = _per_cluster([counts(line) for line in others], labels)
        return bootstrap_difference(
            [c.edits for c in ours],
            [c.edits for c in theirs],
            [c.reference for c in ours],
            draws=self.draws,
            seed=self.seed,
        )


def _clusters(lines: Sequence[LineScore]) -> tuple[str, list[int]]:
    """The coarsest unit of which there are at least two, and each line's cluster number."""
    for unit, key in _UNITS:
        keys = [key(line) for line in lines]
        number = {k: i for i, k in enumerate(dict.fromkeys(keys))}
        if len(number) > 1:
            return unit, [number[k] for k in keys]
    return "line", [0] * len(lines)


def _per_cluster(counts: Sequence[Counts], labels: Sequence[int]) -> list[Counts]:
    table = np.zeros((max(labels, default=-1) + 1, 4), dtype=np.int64)
    rows = [(c.hits, c.substitutions, c.insertions, c.deletions) for c in counts]
    np.add.at(table, np.asarray(labels, dtype=np.int64), np.asarray(rows).reshape(-1, 4))
    return [Counts(*map(int, row)) for row in table]


def _system(
    name: str,
    wanted: Sequence[Record],
    matching: Matching,
    profile: Profile,
    letters_only: bool,
    first: SystemReport | None,
    resample: _Resample,
) -> SystemReport:
    every = [_line(t, r, profile) for t, r in zip(wanted, matching.found, strict=True)]
    letters = [line for line in every if line.letters]
    scored = letters if letters_only else every
    kept = {(line.page, line.id) for line in scored}
    read = [
        (line.reference, record)
        for line, record in zip(every, matching.found, strict=True)
        if record is not None and (line.page, line.id) in kept
    ]
    documents: dict[str, list[LineScore]] = {}
    for line in scored:
        documents.setdefault(line.doc, []).append(line)
    return SystemReport(
        name=name,
        overall=resample.scores(scored),
        letters=resample.scores(letters),
        no_letters=resample.scores([line for line in every if not line.letters]),
        documents={doc: resample.scores(documents[doc]) for doc in sorted(documents)},
        lines=tuple(every),
        missing=tuple(_name(line.page, line.id) for line in every if line.missing),
        extra=tuple(_key(record) for record in matching.extra),
        difference=None if first is None else _difference(scored, letters, first, resample),
        characters=character_calibration(read, profile),
        line_confidences=line_calibration(read, profile),
    )


def _line(truth: Record, reading: Record | None, profile: Profile) -> LineScore:
    reference = profile.apply(truth.text)
    text = "" if reading is None else profile.apply(reading.text)
    return LineScore(
        id=truth.id,
        page=truth.page,
        doc=truth.doc,
        reference=reference,
        reading=text,
        letters=has_letter(reference),
        missing=reading is None,
        characters=char_counts(reference, text, profile),
        words=edit_counts(reference.split(), text.split()),
    )


def _difference(
    scored: Sequence[LineScore],
    letters: Sequence[LineScore],
    first: SystemReport,
    resample: _Resample,
) -> Difference:
    of_first = {(line.page, line.id): line for line in first.lines}

    def of(lines: Sequence[LineScore], counts: Callable[[LineScore], Counts]) -> Estimate:
        others = [of_first[line.page, line.id] for line in lines]
        return resample.difference(lines, others, counts)

    return Difference(
        to=first.name,
        cer=of(scored, lambda line: line.characters),
        wer=of(scored, lambda line: line.words),
        letters_cer=of(letters, lambda line: line.characters),
        letters_wer=of(letters, lambda line: line.words),
    )


def _pairs(
    systems: Sequence[SystemReport], profile: Profile, letters_only: bool
) -> tuple[Pair, ...]:
    pairs = []
    for one, two in itertools.combinations(systems, 2):
        total = ErrorAgreement()
        for a, b in zip(one.lines, two.lines, strict=True):
            if a.letters or not letters_only:
                texts = (a.reference, a.reading, b.reading)
                total += error_agreement(*(profile.tokens(text) for text in texts))
        pairs.append(Pair(one.name, two.name, total))
    return tuple(pairs)


def _notices(system: SystemReport) -> list[str]:
    notices = []
    if system.missing:
        notices.append(
            f"{system.name}: {_lines(len(system.missing))} of {len(system.lines)} missing, scored "
            f"as empty: {_few(system.missing)}"
        )
    if system.extra:
        notices.append(
            f"{system.name}: {_lines(len(system.extra))} not in the ground truth, not scored: "
            f"{_few(system.extra)}"
        )
    return notices


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _name(page: str, line: str) -> str:
    return f"{page}/{line}" if page else line


def _key(record: Record) -> str:
    return _name(record.page, record.id)


def _named(systems: Sequence[Path | tuple[str, Path]]) -> dict[str, Path]:
    """Give every system a name of its own."""
    plain = [s for s in systems if isinstance(s, Path)]
    called = [p.resolve().name if p.is_dir() else p.stem for p in plain]
    given = [s[0] for s in systems if not isinstance(s, Path)]
    named: dict[str, Path] = {}
    for system in systems:
        if isinstance(system, Path):
            name = called[plain.index(system)]
            name = str(system) if (called + given).count(name) > 1 else name
            path = system
        else:
            name, path = system
        if name in named:
            raise UsageError(f"two systems are called '{name}'; name them: NAME=PATH")
        named[name] = path
    return named
