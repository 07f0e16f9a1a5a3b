"""The readings of several engines, brought together line by line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ensemble_htr.errors import UsageError
from ensemble_htr.io.finding import page_stem
from ensemble_htr.io.pages import FORMAT_OF_ROOT
from ensemble_htr.io.records import Record, load_records, match_records, record_files
from ensemble_htr.io.xml import sniff_root
from ensemble_htr.text import graphemes, profile
from ensemble_htr.types import Hypothesis

__all__ = ["Engine", "MergedLine", "engine_argument", "load_engines", "merge", "sample"]

_LEAST = -20.0  # log-probability of a character that an engine gives confidence 0
_PLAIN = profile("plain")  # foreign text loses nothing but invisible characters


@dataclass(frozen=True, slots=True)
class Engine:
    """What one engine read. ``xml`` are its page files by stem, empty for JSONL and TSV."""

    name: str
    path: Path
    records: tuple[Record, ...]
    xml: Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class MergedLine:
    """One line as all engines that have it read it: a row each, and their n-best lists."""

    id: str
    page: str
    doc: str
    rows: tuple[Hypothesis, ...]
    alternatives: tuple[Hypothesis, ...] = ()


def engine_argument(value: str) -> tuple[str, Path]:
    """``NAME=PATH`` in two; raises `UsageError`."""
    name, equals, path = value.partition("=")
    name = name.strip()
    if not equals or not name or not path:
        raise UsageError(f"--engine '{value}': wanted NAME=PATH, for example kraken=out/kraken")
    if "#" in name:
        raise UsageError(f"--engine '{value}': a name cannot hold '#'")
    return name, Path(path)


def load_engines(engines: Sequence[tuple[str, Path]]) -> list[Engine]:
    """Read all engines; raises `UsageError` for a name given twice, `InputError` for a file that
    cannot be used."""
    loaded: dict[str, Engine] = {}
    for name, path in engines:
        if name in loaded:
            raise UsageError(f"two engines are called '{name}': give each a name of its own")
        xml = {}
        for file in record_files(path) if path.exists() else ():
            if file.suffix.lower() == ".xml":
                kind = FORMAT_OF_ROOT.get(sniff_root(file) or "", "")
                xml[page_stem(file, kind)] = file
        loaded[name] = Engine(name, path, tuple(load_records(path)), xml)
    return list(loaded.values())


def merge(engines: Sequence[Engine]) -> tuple[list[MergedLine], dict[str, int]]:
    """All lines that any engine has, in the order of the first engine that has it, and for each
    engine how many of them it lacks. Lines are one by the rules of `match_records`."""
    keys: list[Record] = []
    found: list[dict[str, Record]] = []
    for engine in engines:
        matching = match_records(keys, engine.records, engine.name)
        for i, record in enumerate(matching.found):
            if record is not None:
                found[i][engine.name] = record
                if not keys[i].page and record.page:
                    keys[i] = replace(keys[i], page=record.page, doc=keys[i].doc or record.doc)
        keys += matching.extra
        found += [{engine.name: record} for record in matching.extra]
    lines = [_line(key, rows) for key, rows in zip(keys, found, strict=True)]
    missing = {e.name: sum(e.name not in rows for rows in found) for e in engines}
    return lines, missing


def sample(lines: Sequence[MergedLine], most: int = 300) -> list[str]:
    """Texts taken evenly from all lines, to see what language they are in; a function of the set
    of engines."""
    chosen = lines[:: max(1, len(lines) // most)]
    return [
        row.text
        for line in chosen
        for row in sorted(line.rows, key=lambda r: r.source)
        if row.tokens
    ]


def _line(key: Record, records: Mapping[str, Record]) -> MergedLine:
    rows, alternatives = [], []
    for name, record in records.items():
        tokens = _PLAIN.tokens(record.text)
        scores = {_PLAIN.tokens(text): score for text, score in reversed(record.nbest)}
        logprobs = _logprobs(record, tokens)
        rows.append(Hypothesis(name, tokens, logprobs, score=scores.get(tokens)))
        alternatives += [Hypothesis(name, t, score=s) for t, s in reversed(scores.items())]
    return MergedLine(key.id, key.page, key.doc, tuple(rows), tuple(alternatives))


def _logprobs(record: Record, tokens: Sequence[str]) -> tuple[float, ...] | None:
    """The record's confidences as natural logarithms, one for each token that the profile leaves;
    None where there are none, or the profile rearranged the text."""
    if record.confidences is None:
        return None
    kept: list[tuple[str, float]] = []
    for token, sure in zip(graphemes(record.text), record.confidences, strict=True):
        token = " " if token.isspace() else _PLAIN.apply(token)
        if token == " " and kept and kept[-1][0] == " ":
            kept[-1] = " ", min(sure, kept[-1][1])
        elif token and (token != " " or kept):
            kept.append((token, sure))
    if kept and kept[-1][0] == " ":
        kept.pop()
    if tuple(token for token, _ in kept) != tuple(tokens):
        return None
    return tuple(math.log(sure) if sure > math.exp(_LEAST) else _LEAST for _, sure in kept)
