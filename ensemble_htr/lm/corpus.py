"""Text for language models: plain or packed text files, and the lines of ALTO and PAGE files."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lxml import etree

from ensemble_htr.errors import InputError, XMLError
from ensemble_htr.text import Profile

__all__ = ["Text", "read_texts", "wrap"]

SUFFIXES = (".txt", ".txt.gz", ".txt.xz")
MAX_BYTES = 1 << 30  # of one unpacked text file
_PARSER = {"resolve_entities": False, "no_network": True, "huge_tree": False}


@dataclass(frozen=True, slots=True)
class Text:
    """The lines of one document, normalised and cut into tokens."""

    name: str  # document: the file's name before "__", or its stem
    lines: tuple[tuple[str, ...], ...]


def read_texts(paths: Iterable[Path], profile: Profile) -> list[Text]:
    """Read files (``.txt``, ``.txt.gz``, ``.txt.xz``, ALTO or PAGE ``.xml``) and folders of them.

    Empty lines and lines that ``profile`` does not let be trained on are skipped. Pages of one
    document follow one another in name order. Raises `InputError` for a missing, unreadable or
    empty input, `XMLError` for XML that is neither ALTO nor PAGE.
    """
    documents: dict[str, list[tuple[str, ...]]] = {}
    for file in _files(paths):
        lines = documents.setdefault(file.name.split(".")[0].split("__")[0], [])
        for raw in _xml_lines(file) if file.suffix == ".xml" else _text_lines(file):
            if profile.scorable(raw) and (tokens := profile.tokens(raw)):
                lines.append(tokens)
    texts = [Text(name, tuple(lines)) for name, lines in documents.items() if lines]
    if not texts:
        raise InputError(f"no line of text in {', '.join(map(str, paths))}")
    return texts


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    wanted = (*SUFFIXES, ".xml")
    for path in paths:
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.name.endswith(wanted) and p.is_file())
            if not found:
                raise InputError(f"{path}: no text in this folder; wanted {', '.join(wanted)}")
            yield from found
        elif not path.is_file():
            raise InputError(f"{path}: no such text file")
        elif not path.name.endswith(wanted):
            raise InputError(f"{path}: not a text to learn from; wanted {', '.join(wanted)}")
        else:
            yield path


def _opened(path: Path) -> IO[bytes] | gzip.GzipFile | lzma.LZMAFile:
    if path.suffix == ".xz":
        return lzma.open(path, "rb")
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    return path.open("rb")


def _text_lines(path: Path) -> list[str]:
    try:
        with _opened(path) as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise InputError(f"{path}: more than {MAX_BYTES >> 20} MiB of text; split it")
        return data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start}); convert it first") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"{path}: cannot read this text: {error}") from None


def _xml_lines(path: Path) -> list[str]:
    """The text of every TextLine of an ALTO or PAGE file, in document order."""
    try:
        tree = etree.parse(str(path), etree.XMLParser(**_PARSER))
    except (etree.XMLSyntaxError, OSError) as error:
        raise XMLError(f"{path}: not well-formed XML: {error}") from None
    if tree.docinfo.doctype:
        raise XMLError(f"{path}: XML with a DOCTYPE is not read; remove it")
    root = tree.getroot()
    kind = etree.QName(root).localname
    if kind not in ("alto", "PcGts"):
        raise XMLError(f"{path}: found <{kind}>; wanted ALTO or PAGE")
    read = _alto_text if kind == "alto" else _page_text
    return [read(line) for line in root.iter("{*}TextLine")]


def _alto_text(line: etree._Element) -> str:
    return " ".join(string.get("CONTENT", "") for string in line.findall("{*}String"))


def _page_text(line: etree._Element) -> str:
    rivals = line.findall("{*}TextEquiv")
    if not rivals:
        return ""
    best = min(rivals, key=lambda rival: str(rival.get("index", "0")).zfill(9))
    return best.findtext("{*}Unicode") or ""


def wrap(lines: Sequence[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """Running text as lines of about ``width`` tokens, cut at blanks like lines of a manuscript.

    Widths vary between two thirds and four thirds of ``width`` in a fixed sequence, so that lines
    begin and end anywhere in a sentence and the same text gives the same lines.
    """
    wrapped: list[tuple[str, ...]] = []
    current: list[str] = []
    limit, step = width, 0
    for line in lines:
        word: list[str] = []
        for token in (*line, " "):
            if token != " ":
                word.append(token)
                continue
            if current and len(current) + 1 + len(word) > limit:
                wrapped.append(tuple(current))
                current, step = [], step + 1
                limit = width * 2 // 3 + (step * 7919) % (width * 2 // 3 + 1)
            if word:
                current += [" ", *word] if current else word
            word = []
    return [*wrapped, tuple(current)] if current else wrapped
