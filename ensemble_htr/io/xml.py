"""Parsing XML from strangers: no DOCTYPE, no entities, no network, bounded size and depth.

A DOCTYPE is the door to entity bombs and to files outside (CWE-776, CWE-611) and neither PAGE nor
ALTO needs one, so it is refused before the tree is built. hOCR has one that only names HTML.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.parsers import expat

from lxml import etree  # type: ignore[import-untyped, unused-ignore]

from ensemble_htr.errors import XMLError, printable

__all__ = [
    "MAX_BYTES",
    "children",
    "etree",
    "local_name",
    "parse_html",
    "parse_xml",
    "sniff_hocr",
    "sniff_root",
    "xml_text",
]

MAX_BYTES = 64 * 1024 * 1024  # a dense ALTO page with glyphs is about 10 MB
_CHUNK = 1 << 16
_PROLOG = 1 << 20  # bytes before the root; expat goes through an unfinished token chunk by chunk
_MOST = 200  # characters of what the parser says: it may quote a file's names of any length
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Element = Any  # an lxml element; lxml ships no types
Tree = Any


_PLAIN_DOCTYPE = re.compile(rb"<!DOCTYPE\s+html\b[^\[\]<>]*>", re.I)  # no entities of its own
_HOCR = re.compile(rb"\bocr(_page|_line|x_line)\b")


class _Doctype(Exception):
    pass


class _Root(Exception):
    pass


class _Late(Exception):
    pass


def local_name(element: Element) -> str:
    """The tag without its namespace; empty for comments and processing instructions."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def children(element: Element, *names: str) -> list[Element]:
    """The direct children with one of these local names, in document order."""
    return [child for child in element if local_name(child) in names]


def xml_text(text: str) -> str:
    """``text`` without the characters that XML 1.0 cannot hold (most control characters)."""
    return _FORBIDDEN.sub("", text)


def parse_xml(path: Path) -> Tree:
    """Parse ``path`` into an lxml tree (comments and blank text kept, entities never resolved).

    Raises `XMLError`, one line with file and line number, for a file that cannot be read, is
    empty, is larger than ``MAX_BYTES``, has a DOCTYPE, is nested deeper than 256 elements, is
    truncated, wrongly encoded or otherwise not well formed.
    """
    data = _read(path)
    _scan_prolog(data, path)
    try:
        tree = _tree(data)
    except etree.XMLSyntaxError as error:
        reason = printable(error.msg or "unreadable", _MOST)
        raise XMLError(
            f"{path}: line {error.lineno or 1}: not well-formed XML ({reason}); "
            "export the file again or repair this line"
        ) from None
    except (LookupError, ValueError) as error:
        raise XMLError(
            f"{path}: line 1: cannot be decoded ({printable(str(error), _MOST)}); save it as UTF-8"
        ) from None
    if tree.docinfo.internalDTD is not None:
        raise _doctype_error(path, 1)
    return tree


def parse_html(path: Path) -> Tree:
    """Parse hOCR: XHTML as XML, anything else as HTML (whose entities are those of the standard).

    The DOCTYPE that names the HTML standard is passed over. Raises `XMLError` as `parse_xml` does,
    save that what is not well formed is read as far as it goes.
    """
    data = _read(path)
    head = _PLAIN_DOCTYPE.sub(b"", data[:_CHUNK], count=1)
    data = head + data[_CHUNK:]
    _scan_prolog(data, path)
    try:
        tree = _tree(data)
    except (etree.XMLSyntaxError, LookupError, ValueError):
        tree = _forgiven(data, path)
    if tree.docinfo.internalDTD is not None and tree.docinfo.internalDTD.entities():
        raise _doctype_error(path, 1)
    return tree


def _forgiven(data: bytes, path: Path) -> Tree:
    try:
        data.decode("utf-8")
        encoding: str | None = "utf-8"
    except UnicodeDecodeError:
        encoding = None  # as the file's own <meta> says
    parser = etree.HTMLParser(no_network=True, huge_tree=False, encoding=encoding)
    try:
        root = etree.fromstring(data, parser)
    except (etree.LxmlError, LookupError, ValueError) as error:
        reason = printable(str(error), _MOST)
        raise XMLError(f"{path}: cannot be read as HTML ({reason}); export it again") from None
    too_much = [e for e in parser.error_log if e.type_name == "ERR_RESOURCE_LIMIT"]
    if too_much or root is None:
        line = too_much[0].line if too_much else 1
        reason = printable(too_much[0].message, _MOST) if too_much else "there is nothing in it"
        raise XMLError(f"{path}: line {line}: cannot be read as HTML ({reason})")
    return etree.ElementTree(root)


def _tree(data: bytes) -> Tree:
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_blank_text=False,
        strip_cdata=False,
    )
    return etree.ElementTree(etree.fromstring(data, parser))


def sniff_hocr(path: Path) -> bool:
    """Whether the first bytes speak of hOCR's pages or lines."""
    try:
        with open(path, "rb") as stream:
            return _HOCR.search(stream.read(_CHUNK)) is not None
    except OSError:
        return False


def sniff_root(path: Path) -> str | None:
    """The local name of the root element, read from the first bytes; None if there is none
    to be seen (not XML, broken, a DOCTYPE, unreadable): `parse_xml` says why."""
    try:
        with open(path, "rb") as stream:
            return _prolog_root(stream.read(_CHUNK))
    except (OSError, _Doctype):
        return None


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise XMLError(
                f"{path}: {size / 1e6:.0f} MB of XML, more than the {MAX_BYTES / 1e6:.0f} MB that "
                "one page may have; split the file"
            )
        data = path.read_bytes()
    except OSError as error:
        raise XMLError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not data.strip():
        raise XMLError(f"{path}: line 1: the file is empty; export it again")
    return data


def _scan_prolog(data: bytes, path: Path) -> None:
    try:
        _prolog_root(data)
    except _Doctype as found:
        raise _doctype_error(path, found.args[0]) from None
    except _Late:
        raise XMLError(
            f"{path}: line 1: no root element in its first {_PROLOG >> 20} MB; export it again"
        ) from None


def _doctype_error(path: Path, line: int) -> XMLError:
    return XMLError(
        f"{path}: line {line}: has a DOCTYPE, which is refused (entities can exhaust memory or "
        "read other files); remove the <!DOCTYPE ...> declaration"
    )


def _prolog_root(data: bytes) -> str | None:
    """Local name of the first element; raises `_Doctype` with its line if a DOCTYPE precedes, and
    `_Late` if neither begins within bounds."""
    parser = expat.ParserCreate()

    def on_doctype(*_: Any) -> None:
        raise _Doctype(parser.CurrentLineNumber)

    def on_element(name: str, _: Any) -> None:
        raise _Root(name.rpartition(":")[2])

    parser.StartDoctypeDeclHandler = on_doctype
    parser.StartElementHandler = on_element
    try:
        for start in range(0, min(len(data), _PROLOG), _CHUNK):
            parser.Parse(data[start : start + _CHUNK], False)
    except _Root as found:
        return str(found.args[0])
    except (expat.ExpatError, LookupError, ValueError):
        return None  # lxml will say what is wrong
    if len(data) > _PROLOG:
        raise _Late
    return None
