"""Reading CTM, the time-marked words of NIST's SCTK (its manual, ``doc/infmts.htm``).

A row is ``file channel begin duration word [confidence]``; rows of one file and channel that
follow one another are one line of text. Handwriting toolkits write the line's id as ``file`` and 1
as channel: the id is ``file``, and ``file-channel`` for any channel but 1 and A. ``;;`` begins a
comment, ``@`` is a word that is none. Between ``<ALT_BEGIN>`` and ``<ALT_END>`` stand alternatives,
parted by ``<ALT>``: the likeliest (the first, where one has no confidence) is read, the others give
an n-best list. A line with the word ``<space>`` is spelt in characters.
"""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from ensemble_htr.errors import InputError
from ensemble_htr.io.rows import Record, confidence_of, short
from ensemble_htr.io.sure import MOST_RIVALS, evenly, line_of, pieced, spread
from ensemble_htr.text import graphemes

__all__ = ["read_ctm"]

_COMMENT, _NOTHING, _SPACE = ";;", "@", "<space>"
_BEGIN, _NEXT, _END = "<ALT_BEGIN>", "<ALT>", "<ALT_END>"
_MOST = 50_000  # rows of a line
_UNKNOWN = ("NA", "-")  # what stands for a confidence that is not known

Said = tuple[str, float | None]  # a word and its confidence
Block = list[list[Said]]  # alternatives of a stretch, one where all is plain
Row = tuple[str, tuple[str, str], str, float | None]  # where, file and channel, word, confidence


def read_ctm(lines: Iterable[tuple[str, str]]) -> Iterator[Record]:
    """The lines of text in the rows of a CTM, each row with what names its place (``file:number``).

    Raises `InputError` naming it for a row that is none, a time or a confidence that is no sane
    number, alternatives that do not end, more than 50,000 rows of a line.
    """
    rows = (_row(where, line) for where, line in lines if _counts(line))
    for (name, channel), group in itertools.groupby(rows, key=lambda row: row[1]):
        blocks = _blocks(group)
        yield _record(name if channel in ("1", "A", "a") else f"{name}-{channel}", blocks)


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(_COMMENT)


def _row(where: str, line: str) -> Row:
    fields = line.split()
    if len(fields) < 5:
        raise InputError(
            f"{where}: wanted file, channel, begin, duration, word and perhaps a confidence, "
            f"found {short(line)}"
        )
    name, channel, begin, duration, word = fields[:5]
    for time in (begin, duration):
        if word not in (_BEGIN, _NEXT, _END) and not _is_time(time):
            raise InputError(f"{where}: wanted a time in seconds, found {short(time)}")
    sure = None
    if len(fields) > 5 and fields[5] not in _UNKNOWN:
        sure = confidence_of(_number(fields[5]), where)
    return where, (name, channel), word, sure


def _is_time(text: str) -> bool:
    value = _number(text)
    return isinstance(value, float) and math.isfinite(value) and value >= 0


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _blocks(rows: Iterable[Row]) -> list[Block]:
    """The line as stretches that have one or several alternatives."""
    blocks: list[Block] = []
    inside, where = False, ""
    for count, (where, _, word, sure) in enumerate(rows, 1):
        if count > _MOST:
            raise InputError(f"{where}: more than {_MOST} rows of one line")
        if (word == _BEGIN) if inside else (word in (_NEXT, _END)):
            raise InputError(f"{where}: {word} {'within' if inside else 'without'} {_BEGIN}")
        if word == _BEGIN:
            blocks.append([[]])
        elif word == _NEXT:
            blocks[-1].append([])
        elif word != _END and inside:
            blocks[-1][-1].append((word, sure))
        elif word != _END:
            blocks.append([[(word, sure)]])
        inside = word == _BEGIN or (inside and word != _END)
    if inside:
        raise InputError(f"{where}: the line ends before its {_END}")
    return blocks


def _record(name: str, blocks: Sequence[Block]) -> Record:
    chosen = [_likeliest(block) for block in blocks]
    spelt = any(word == _SPACE for block in blocks for way in block for word, _ in way)
    text, sure = _text(chosen, spelt)
    rivals = (
        (_text(other, spelt)[0], _whole(other))
        for i, block in enumerate(blocks)
        for way in block
        if way is not chosen[i]
        for other in [[*chosen[:i], way, *chosen[i + 1 :]]]
    )
    heard = line_of(text, _whole(chosen), (), list(itertools.islice(rivals, MOST_RIVALS)))
    assert heard is not None
    return Record(name, heard.text, confidences=sure, nbest=heard.nbest)


def _likeliest(block: Block) -> list[Said]:
    odds = [_whole([way]) for way in block]
    known = [p for p in odds if p is not None]
    return block[known.index(max(known))] if len(known) == len(block) else block[0]


def _whole(ways: Iterable[Sequence[Said]]) -> float | None:
    """The confidence of some stretches: the product of their words'."""
    values = [sure for way in ways for _, sure in way]
    known = [sure for sure in values if sure is not None]
    return math.prod(known) if known and len(known) == len(values) else None


def _text(ways: Iterable[Sequence[Said]], spelt: bool) -> tuple[str, tuple[float, ...] | None]:
    """The text of the stretches, and a confidence for each character if each word has one."""
    said = [(" " if w == _SPACE else w, sure) for way in ways for w, sure in way if w != _NOTHING]
    known = [sure for _, sure in said if sure is not None]
    if spelt:
        text = unicodedata.normalize("NFC", "".join(word for word, _ in said))
        whole = len(known) == len(said)
        return text, pieced([word for word, _ in said], known, text) if whole else None
    words = [(unicodedata.normalize("NFC", word), sure) for word, sure in said]
    text = unicodedata.normalize("NFC", " ".join(word for word, _ in words))
    values = spread([(w, None if p is None else evenly(p, len(graphemes(w)))) for w, p in words])
    return text, values if values and len(values) == len(graphemes(text)) else None
