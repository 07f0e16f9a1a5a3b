"""Ways to break a file: bits, cuts, splices, numbers, elements, keys, odd letters."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from hypothesis import strategies as st
from lxml import etree

from .seeds import SEEDS

__all__ = ["broken"]

# One of each family: sizes, not-a-numbers, signs, spellings that int() and float() take.
NUMBERS = (
    "0", "-1", "-0.0", "1e9", "1e-320", "1e308", "1e999", "-1e999", "nan", "inf", "-Infinity",
    "9" * 400, "0x10", "1_0", "\u0663", " 7 ", "+5", "1,5", "NaN", "", "4294967296",
)  # fmt: skip
# What text may hold: empty, controls, direction marks, long clusters, joiners, planes, markup.
WORDS = (
    "", " ", "\t", "\n", "\r", "\x0b", "\x85", "\u2028", "\u202e", "\ufeff", "\u200d", "\u0301",
    "e" + "\u0301" * 300, "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U000e0041", "\ufffe",
    "\u1100\u1161\u11a8", "\u0344", "\u2126", "\ufdfa", "\u0915\u094d\u0937", "&", "<", "]]>",
    "'\"", "a" * 5000, "../../etc/passwd", "%s%n", "\\ud800", "{}", "[]", "x=1;y",
    "structure {type:",
)  # fmt: skip
BYTES = tuple(w.encode("utf-8", "surrogatepass") for w in (*NUMBERS, *WORDS)) + (
    b"\x00", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
    b"<!DOCTYPE x>", b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"&a;", b"&#0;", b"&#xD800;", b"<![CDATA[",
    b"<!--", b"<?xml version='1.0' encoding='UTF-16'?>", b"<?x?>", b"</Page>", b"<a xmlns:b='b'>",
    b"\\ud800", b"\\u0000", b"1e400", b"[" * 2000, b'{"a":' * 2000, b"null", b"true", b"\n{}\n",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, 1e308, 10**400, -(10**30), "", "x", "\ud800", [], {}, [[]],
    [None], [True], ["0.5"], [0.5], [1e9] * 8, {"text": "x"}, [{"text": "x", "confidence": 2}],
    [{"text": None, "confidence": 0.1}], [{"text": "le", "score": None}], "e" + "\u0301" * 50,
)  # fmt: skip
KEYS = (
    "id",
    "page",
    "doc",
    "text",
    "confidence",
    "confidences",
    "words",
    "chars",
    "nbest",
    "score",
)

_NUMBER = re.compile(rb"[0-9]+(?:\.[0-9]+)?")


def broken(kind: str) -> st.SearchStrategy[bytes]:
    """Files that began as the seed of this kind."""
    same = lambda draw, data: data  # noqa: E731
    begun = {"jsonl": _rows, "tsv": same, "ctm": same}.get(kind, _tree)

    @st.composite
    def strategy(draw: st.DrawFn) -> bytes:
        data = SEEDS[kind]
        if draw(st.booleans()):
            data = begun(draw, data)
        for _ in range(draw(st.integers(0, 4))):
            data = draw(st.sampled_from(_OPERATIONS))(draw, data)
        return data

    return strategy()


def _place(draw: st.DrawFn, data: bytes) -> int:
    return draw(st.integers(0, max(0, len(data) - 1)))


def _flip(draw: st.DrawFn, data: bytes) -> bytes:
    i = _place(draw, data)
    return (
        data[:i] + bytes([data[i] ^ (1 << draw(st.integers(0, 7)))]) + data[i + 1 :]
        if data
        else b""
    )


def _cut(draw: st.DrawFn, data: bytes) -> bytes:
    i = _place(draw, data)
    return data[:i] + data[i + draw(st.integers(1, 200)) :]


def _truncate(draw: st.DrawFn, data: bytes) -> bytes:
    return data[: _place(draw, data)]


def _repeat(draw: st.DrawFn, data: bytes) -> bytes:
    i, j = _place(draw, data), _place(draw, data)
    return data[:j] + data[i : i + draw(st.integers(1, 400))] + data[j:]


def _splice(draw: st.DrawFn, data: bytes) -> bytes:
    other = SEEDS[draw(st.sampled_from(sorted(SEEDS)))]
    i, j = _place(draw, other), _place(draw, data)
    return data[:j] + other[i : i + draw(st.integers(1, 400))] + data[j:]


def _insert(draw: st.DrawFn, data: bytes) -> bytes:
    i = _place(draw, data)
    return data[:i] + draw(st.sampled_from(BYTES)) + data[i:]


def _number(draw: st.DrawFn, data: bytes) -> bytes:
    if not (found := list(_NUMBER.finditer(data))):
        return data
    match = draw(st.sampled_from(found))
    return data[: match.start()] + draw(st.sampled_from(NUMBERS)).encode() + data[match.end() :]


def _encode(draw: st.DrawFn, data: bytes) -> bytes:
    to = draw(st.sampled_from(["utf-16", "utf-16-le", "latin-1", "utf-7", "cp037", "utf-32"]))
    return data.decode("utf-8", "replace").encode(to, "replace")


_OPERATIONS = (_flip, _cut, _truncate, _repeat, _splice, _insert, _number, _number, _encode)


def _tree(draw: st.DrawFn, data: bytes) -> bytes:
    """Elements and attributes changed, the file still well formed."""
    root = etree.fromstring(data)
    for _ in range(draw(st.integers(1, 4))):
        elements = list(root.iter("*"))
        element = draw(st.sampled_from(elements))
        other = draw(st.sampled_from(elements))
        kind = draw(st.sampled_from(["attribute", "text", "copy", "move", "drop", "name", "deep"]))
        if kind == "attribute":
            names = sorted({name for e in elements for name in e.attrib}) or ["id"]
            value = _text(draw)
            element.set(draw(st.sampled_from(sorted(element.attrib) or names)), value)
        elif kind == "text":
            element.text = _text(draw)
        elif kind == "copy":
            other.append(copy.deepcopy(element))
        elif kind == "name":
            element.tag = other.tag
        elif kind == "deep":
            for _ in range(draw(st.sampled_from([10, 250, 300]))):
                element = etree.SubElement(element, element.tag)
        elif element.getparent() is not None:
            if kind == "drop":
                element.getparent().remove(element)
            elif element not in other.iterancestors() and element is not other:
                other.insert(0, element)
    return etree.tostring(root, encoding=draw(st.sampled_from(["utf-8", "utf-16", "ascii"])))


def _text(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from((*NUMBERS, *WORDS)) | st.text(max_size=20))
    if draw(st.booleans()):
        text = " ".join([text] * draw(st.integers(1, 6)))
    return re.sub("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)


def _rows(draw: st.DrawFn, data: bytes) -> bytes:
    """Keys and values changed, the rows still JSON."""
    rows: list[Any] = [json.loads(line) for line in data.decode().splitlines()]
    for _ in range(draw(st.integers(1, 4))):
        i = draw(st.integers(0, len(rows) - 1))
        kind = draw(st.sampled_from(["value", "inner", "drop", "copy", "swap", "row"]))
        row = rows[i]
        if kind == "row":
            rows[i] = draw(st.sampled_from(VALUES))
        elif kind == "copy":
            rows.insert(draw(st.integers(0, len(rows))), row)
        elif kind == "swap":
            rows.append(rows.pop(i))
        elif isinstance(row, dict):
            rows[i] = row = dict(row)
            key = draw(st.sampled_from(KEYS))
            if kind == "value":
                row[key] = draw(st.sampled_from(VALUES) | st.text(max_size=20))
            elif kind == "drop":
                row.pop(key, None)
            elif isinstance(inner := row.get(key), list) and inner:
                inner = list(inner)
                inner[draw(st.integers(0, len(inner) - 1))] = draw(st.sampled_from(VALUES))
                row[key] = inner
    text = "".join(json.dumps(row, ensure_ascii=draw(st.booleans())) + "\n" for row in rows)
    return text.encode("utf-8", "surrogatepass")
