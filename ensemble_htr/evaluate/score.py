"""From ground truth and systems to a `Report`."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ensemble_htr.errors import InputError, UsageError, did_you_mean
from ensemble_htr.evaluate.ensemble import EnsembleTally
from ensemble_htr.evaluate.groups import Facts, facts_of
from ensemble_htr.evaluate.notices import (
    cluster_notices,
    copies,
    count_of,
    key_of,
    notices_of,
    place_of,
)
from ensemble_htr.evaluate.pages import recut, unordered
from ensemble_htr.evaluate.profiles import find_profile
from ensemble_htr.evaluate.report import (
    Correction,
    Ensemble,
    LineScore,
    Pair,
    ProfileScore,
    Report,
    SystemReport,
)
from ensemble_htr.evaluate.statistics import Statistics, grouped
from ensemble_htr.evaluate.tally import Aligned, Tally, spread_of
from ensemble_htr.evaluate.words import word_kinds
from ensemble_htr.io.readings import load_records
from ensemble_htr.io.records import Matching, Record, match_records
from ensemble_htr.metrics import (
    Counts,
    ErrorAgreement,
    Sites,
    agreement_at,
    char_counts,
    corrections,
    pair_counts,
    profile_counts,
    profile_pairs,
    sites,
)
from ensemble_htr.metrics.bootstrap import LEVEL
from ensemble_htr.metrics.intervals import METHOD
from ensemble_htr.text import Profile, has_letter

__all__ = ["Options", "evaluate", "score_records"]


@dataclass(frozen=True, slots=True)
class Options:
    """What an evaluation looks at beside the headline."""

    beside: tuple[Profile, ...] = ()  # the same lines under other profiles
    engines: tuple[str, ...] = ()  # systems whose readings the others combine
    lexicon: Collection[str] = ()  # words as `words.word_core` gives them
    facts: Facts = field(default_factory=lambda: Facts({}, {}, {}))  # hands, types of lines


def evaluate(
    ground_truth: Path,
    systems: Sequence[Path | tuple[str, Path]],
    profile: str = "fr-archive",
    letters_only: bool = False,
    *,
    seed: int = 0,
    options: Options = Options(),  # noqa: B008 - frozen
) -> Report:
    """Score ``systems`` (paths, or name and path) against ``ground_truth``, all as `load_records`
    reads them.

    ``profile`` is a name or a TOML file (`find_profile`). A system without a name is called by its
    file's stem or its folder's name, by its whole path where that is not unique. Raises
    `UsageError` for an unknown profile or a name given twice, `InputError` for files that cannot
    be read or do not belong together.
    """
    policy = find_profile(profile)
    paths = _named(systems)
    truth = load_records(ground_truth)
    readings = {name: load_records(path) for name, path in paths.items()}
    if not options.facts.lines and not options.facts.hands:
        options = dataclasses.replace(options, facts=facts_of(ground_truth))
    return score_records(
        truth, readings, policy, letters_only, seed=seed, source=str(ground_truth), options=options
    )


def score_records(
    truth: Sequence[Record],
    systems: Mapping[str, Sequence[Record]],
    profile: Profile,
    letters_only: bool = False,
    *,
    seed: int = 0,
    source: str = "ground truth",
    options: Options = Options(),  # noqa: B008 - frozen
) -> Report:
    """Score systems that are in memory; see `evaluate`.

    Lines with the profile's unread mark are not scored. A line that a system lacks is scored as
    empty, a line that the ground truth lacks is not scored; both are counted and noticed. Pages
    that share no line with a system's are cut along the ground truth. With ``letters_only`` the
    overall figures are over lines whose reference holds a letter.
    """
    wanted = [r for r in truth if profile.scorable(r.text)]
    scored = [r for r in wanted if not letters_only or has_letter(profile.apply(r.text))]
    if not scored:
        raise InputError(f"{source}: holds no line to score under profile '{profile.name}'")
    if unknown := [name for name in options.engines if name not in systems]:
        raise UsageError(f"no system is called '{unknown[0]}'{did_you_mean(unknown[0], systems)}")
    notices = []
    if unread := len(truth) - len(wanted):
        notices.append(f"{source}: {count_of(unread)} with {profile.unread} not scored")
    pages: dict[str, list[Record]] = {}
    for record in truth:
        pages.setdefault(record.page, []).append(record)
    matched = {n: _matched(n, truth, pages, wanted, r, source) for n, r in systems.items()}
    work = _Evaluation(profile, letters_only, options, len(scored))
    for number, record in enumerate(wanted):
        work.line(record, {name: m.found[number] for name, (m, _) in matched.items()})
    statistics = Statistics(profile, seed)
    found: list[SystemReport] = []
    for name, (matching, cut) in matched.items():
        found.append(work.system(name, matching.extra, cut, found[:1], statistics))
        notices += notices_of(found[-1])
    notices += copies(found, source)
    if found:
        notices += cluster_notices(found[0], source)
    return Report(
        profile=profile.name,
        profile_description=profile.description,
        denominator=profile.denominator,
        ground_truth=source,
        letters_only=letters_only,
        lines=len(scored),
        unread=unread,
        level=LEVEL,
        method=METHOD,
        systems=tuple(found),
        pairs=work.pairs({s.name: s for s in found}, statistics),
        beside=tuple(_beside(p, wanted, matched, scored) for p in options.beside),
        ensemble=work.ensemble({s.name: s.overall.characters.rate for s in found}),
        notices=tuple(notices),
    )


def _matched(
    name: str,
    truth: Sequence[Record],
    pages: Mapping[str, Sequence[Record]],
    wanted: Sequence[Record],
    readings: Sequence[Record],
    source: str,
) -> tuple[Matching, list[str]]:
    """A system's lines for those wanted, and the pages that had to be cut anew."""
    readings, cut = recut(truth, readings, pages)
    whole = match_records(truth, readings, name)
    if readings and all(r is None for r in whole.found):
        raise InputError(
            f"{name}: none of its {len(readings)} lines is in {source}: its ids are like "
            f"{key_of(readings[0])}, wanted are ids like {key_of(truth[0])}"
        )
    here = {id(t): r for t, r in zip(truth, whole.found, strict=True)}
    return Matching(tuple(here[id(r)] for r in wanted), whole.extra), cut


class _Evaluation:
    """All lines pass by once; each is aligned once for every system."""

    def __init__(self, form: Profile, letters_only: bool, options: Options, total: int) -> None:
        self.form = form
        self.letters_only = letters_only
        self.options = options
        self.total = total
        self.lines: dict[str, list[LineScore]] = {}
        self.tallies: dict[str, Tally] = {}
        self.agreements: dict[tuple[str, str], ErrorAgreement] = {}
        several = len(options.engines) > 1
        self.together = EnsembleTally(options.engines, form, total) if several else None

    def line(self, truth: Record, readings: Mapping[str, Record | None]) -> None:
        """Score one line of every system."""
        reference = self.form.apply(truth.text)
        tokens = self.form.cut(reference)
        aligned = {}
        for name, record in readings.items():
            aligned[name] = self._aligned(truth, reference, tokens, record)
            self.lines.setdefault(name, []).append(aligned[name].score)
        if self.letters_only and not has_letter(reference):
            return
        kinds = word_kinds(tokens, self.options.lexicon)
        for name, line in aligned.items():
            self.tallies.setdefault(name, Tally(self.form)).add(line, kinds)
        if len(aligned) > 1:
            self._together(aligned)

    def _together(self, aligned: Mapping[str, Aligned]) -> None:
        laid: dict[str, Sites] = {name: sites(line.pairs) for name, line in aligned.items()}
        for pair in itertools.combinations(laid, 2):
            one, two = (laid[name] for name in pair)
            found = agreement_at(one.wanted, one.written, two.written)
            self.agreements[pair] = self.agreements.get(pair, ErrorAgreement()) + found
        bases = self.options.engines or tuple(laid)[:1]
        for base in bases:
            for name in laid:
                if name != base and name not in self.options.engines:
                    self.tallies[name].compare(base, corrections(laid[base], laid[name]))
        if self.together is not None:
            self.together.add(aligned, laid)

    def _aligned(
        self, truth: Record, reference: str, tokens: tuple[str, ...], record: Record | None
    ) -> Aligned:
        text = "" if record is None else self.form.apply(record.text)
        pairs = profile_pairs(tokens, self.form.cut(text), self.form)
        facts = self.options.facts.of(truth.page, truth.id)
        score = LineScore(
            id=truth.id,
            page=truth.page,
            doc=truth.doc,
            reference=reference,
            reading=text,
            letters=has_letter(reference),
            missing=record is None,
            characters=pair_counts(pairs),
            words=profile_counts(reference.split(), text.split(), self.form),
            hand=facts.hand,
            kind=facts.kind,
        )
        return Aligned(score, pairs, record)

    def system(
        self,
        name: str,
        extra: Sequence[Record],
        cut: Sequence[str],
        first: Sequence[SystemReport],
        statistics: Statistics,
    ) -> SystemReport:
        """Everything that was found of one system; ``first`` holds the first one, if it is not."""
        every, tally = self.lines[name], self.tallies[name]
        letters = [line for line in every if line.letters]
        scored = letters if self.letters_only else every
        documents = grouped(scored, lambda line: line.doc)
        by_document = {doc: statistics.scores(lines) for doc, lines in sorted(documents.items())}
        return SystemReport(
            name=name,
            overall=statistics.scores(scored),
            letters=statistics.scores(letters),
            no_letters=statistics.scores([line for line in every if not line.letters]),
            documents=by_document,
            lines=tuple(every),
            missing=tuple(place_of(line.page, line.id) for line in every if line.missing),
            extra=tuple(key_of(record) for record in extra),
            difference=statistics.difference(name, every, first[0], self.letters_only)
            if first
            else None,
            spread=spread_of(
                [line.characters for line in scored],
                [s.characters for s in by_document.values()],
                self.form,
            ),
            word_spread=spread_of(
                [line.words for line in scored], [s.words for s in by_document.values()], self.form
            ),
            hands=statistics.named(scored, lambda line: line.hand),
            kinds=statistics.named(scored, lambda line: line.kind),
            pages={
                place: Counts.sum(line.characters for line in lines)
                for place, lines in grouped(scored, lambda line: (line.doc, line.page)).items()
            },
            slips=tally.by_kind(),
            confusions=tally.confusions(),
            word_accuracy=tally.words.accuracies(),
            unordered=unordered(scored, extra, self.form, cut),
            confidences=tally.confidences.confidences(),
            corrections=tuple(Correction(to, c) for to, c in tally.corrections.items()),
        )

    def pairs(
        self, systems: Mapping[str, SystemReport], statistics: Statistics
    ) -> tuple[Pair, ...]:
        """Every two systems, in the order in which they were named."""
        found = []
        for (one, two), errors in self.agreements.items():
            lines, first = systems[two].lines, systems[one]
            difference = statistics.difference(two, lines, first, self.letters_only)
            found.append(Pair(one, two, errors, difference))
        return tuple(found)

    def ensemble(self, rates: Mapping[str, float]) -> Ensemble | None:
        return None if self.together is None else self.together.ensemble(rates)


def _beside(
    form: Profile,
    wanted: Sequence[Record],
    matched: Mapping[str, tuple[Matching, list[str]]],
    scored: Sequence[Record],
) -> ProfileScore:
    """The lines of the headline under another profile."""
    kept = {id(record) for record in scored}
    totals = {
        name: Counts.sum(
            char_counts(record.text, "" if reading is None else reading.text, form)
            for record, reading in zip(wanted, matching.found, strict=True)
            if id(record) in kept
        )
        for name, (matching, _) in matched.items()
    }
    rates = {n: c.edits / max(1, c.over(form.denominator)) for n, c in totals.items()}
    return ProfileScore(form.name, form.description, totals, rates)


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
