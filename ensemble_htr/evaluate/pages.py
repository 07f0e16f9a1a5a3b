"""Pages as wholes: scores that do not see the order of reading, and lines cut otherwise."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ensemble_htr.evaluate.report import LineScore, Unordered
from ensemble_htr.io.records import Record
from ensemble_htr.metrics import alignment_pairs
from ensemble_htr.metrics.distance import coded
from ensemble_htr.text import Profile, graphemes

__all__ = ["recut", "unordered"]

_LARGEST = 400  # lines of a page that are matched with one another


def unordered(
    lines: Sequence[LineScore],
    extra: Sequence[Record],
    profile: Profile,
    recut_pages: Sequence[str],
) -> Unordered:
    """Scores of pages as bags. ``lines`` are those scored, ``extra`` the system's further lines on
    the same pages, which may be what was read of a line under another name."""
    pages: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    names = {line.page for line in lines}
    for line in lines:
        wanted, read = pages.setdefault((line.doc, line.page), ([], []))
        wanted.append(line.reference)
        if not line.missing:
            read.append(line.reading)
    key = {page: (doc, page) for doc, page in pages}
    for record in extra:
        if record.page in names:
            place = record.doc, record.page  # documents may have pages of one name
            read = pages[place if place in pages else key[record.page]][1]
            read.append(profile.apply(record.text))
    hits = words = read_words = edits = characters = 0
    large = False
    for wanted, read in pages.values():
        one, two = (Counter(w for t in texts for w in t.split()) for texts in (wanted, read))
        hits += (one & two).total()
        words += one.total()
        read_words += two.total()
        matched = _matched(wanted, read, profile)
        large = large or matched is None
        edits += matched or 0
        characters += sum(len(profile.cut(text)) for text in wanted)
    return Unordered(
        pages=len(pages),
        cer=float("nan") if large else edits / max(1, characters),
        word_recall=hits / max(1, words),
        word_precision=hits / max(1, read_words),
        recut=tuple(recut_pages),
    )


def _matched(wanted: Sequence[str], read: Sequence[str], profile: Profile) -> int | None:
    """Edits when lines are matched at the least total cost (assignment problem: Kuhn 1955), lines
    left over counting whole; None for pages too large."""
    same = Counter(wanted) & Counter(read)
    rest = [list((Counter(texts) - same).elements()) for texts in (wanted, read)]
    if max(map(len, rest)) > _LARGEST:
        return None
    tokens = [[profile.cut(text) for text in texts] for texts in rest]
    lengths = [np.array([len(t) for t in ts], dtype=np.int64) for ts in tokens]
    if not rest[0] or not rest[1]:
        return int(lengths[0].sum() + lengths[1].sum())
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist
    from scipy.optimize import linear_sum_assignment

    codes = coded([*tokens[0], *tokens[1]])
    one, two = codes[: len(rest[0])], codes[len(rest[0]) :]
    cost = cdist(one, two, scorer=Levenshtein.distance, dtype=np.int32)
    gain = lengths[0][:, None] + lengths[1][None, :] - cost  # never below 0: all lines of the
    rows, columns = linear_sum_assignment(gain, maximize=True)  # shorter side find a partner
    return int(lengths[0].sum() + lengths[1].sum() - gain[rows, columns].sum())


def recut(
    truth: Sequence[Record], system: Sequence[Record], pages: Mapping[str, Sequence[Record]]
) -> tuple[list[Record], list[str]]:
    """Give a system's pages the lines of the ground truth where they share no line at all.

    ``pages`` are the ground truth's lines by page. The texts of a page, in the order of the file,
    are aligned as one with the reference's, and cut where its lines end. Returns the system's
    records, those of such pages replaced, and the names of the pages.
    """
    of_page: dict[str, list[Record]] = {}
    for record in system:
        of_page.setdefault(record.page, []).append(record)
    done: list[str] = []
    out: list[Record] = []
    for page, records in of_page.items():
        wanted = pages.get(page, ())
        shared = {r.id for r in wanted} & {r.id for r in records}
        by_number = any(r.numbered for r in (*wanted, *records))  # matched by their likeness
        if not page or not wanted or shared or by_number:
            out += records
        else:
            done.append(page)
            out += _cut_along(wanted, records)
    return out, done


def _cut_along(wanted: Sequence[Record], records: Sequence[Record]) -> list[Record]:
    reference: list[str] = []
    owner: list[int] = []  # the line of each reference token; a blank belongs to the one before
    for number, line in enumerate(wanted):
        tokens = (*graphemes(line.text), "\n")
        reference += tokens
        owner += [number] * len(tokens)
    read = [t for record in records for t in (*graphemes(record.text), "\n")]
    sure = _all_confidences(records)
    texts: list[list[str]] = [[] for _ in wanted]
    claims: list[list[float]] = [[] for _ in wanted]
    place = at = 0
    for want, token in alignment_pairs([_blank(t) for t in reference], [_blank(t) for t in read]):
        number = owner[min(place, len(owner) - 1)]
        if token:
            texts[number].append(_blank(read[at]))
            claims[number].append(sure[at] if sure else 0.0)
            at += 1
        place += bool(want)
    return [
        _stripped(replace(line, nbest=(), words=(), confidence=None), t, c if sure else None)
        for line, t, c in zip(wanted, texts, claims, strict=True)
    ]


def _blank(token: str) -> str:
    return " " if token.isspace() else token


def _all_confidences(records: Sequence[Record]) -> list[float] | None:
    if any(record.confidences is None for record in records):
        return None
    return list(itertools.chain(*((*(r.confidences or ()), 1.0) for r in records)))


def _stripped(record: Record, tokens: list[str], sure: list[float] | None) -> Record:
    while tokens and tokens[-1] == " ":
        tokens.pop()
    start = next((i for i, t in enumerate(tokens) if t != " "), len(tokens))
    text = "".join(tokens[start:])
    kept = None if sure is None else tuple(sure[start : len(tokens)])
    if kept is not None and len(graphemes(text)) != len(kept):
        kept = None
    return replace(record, text=text, confidences=kept)
