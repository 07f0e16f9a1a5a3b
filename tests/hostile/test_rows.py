"""``combine`` and ``evaluate`` over files that no engine of good faith would write."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Verdict, good_page, page_xml

Verb = Callable[..., Verdict]
ROW = '{"id": "a", "text": "le pere"}\n'
HOSTILE: dict[str, tuple[str, bytes, str]] = {
    "noise": ("x.tsv", bytes(range(256)) * 400, "UTF-8"),
    "no tab": ("x.tsv", b"one two\n", "id<TAB>text"),
    "UTF-16": ("x.jsonl", ROW.encode("utf-16"), "UTF-16"),
    "UTF-16 without a mark": ("x.jsonl", ROW.encode("utf-16-le"), "x.jsonl"),
    "Latin-1": ("x.tsv", "a\tpère\n".encode("latin-1"), "UTF-8"),
    "deep nesting": ("x.jsonl", b'{"id":' * 100_000, "nested too deeply"),
    "half a row": ("x.jsonl", ROW.encode() + b'{"id": "b", "te', ":2:"),
    "no row": ("x.jsonl", b"[1, 2]\n", "JSON object"),
    "not a number": ("x.jsonl", b'{"id": "a", "text": "x", "confidences": [NaN]}', "NaN"),
    "percent": ("x.jsonl", b'{"id": "a", "text": "x", "confidences": [99]}', "[0, 1]"),
    "400 digits": ("x.jsonl", b'{"id": "a", "text": "x", "confidence": %s}' % (b"9" * 400), ""),
    "5,000 digits": ("x.jsonl", b'{"id": "a", "text": "x", "confidence": %s}' % (b"9" * 5000), ""),
    "half a pair": ("x.jsonl", b'{"id": "a", "text": "\\ud800"}', "surrogate"),
    "twice": ("x.jsonl", ROW.encode() * 2, "more than once"),
    "a long id twice": ("x.tsv", (b"a" * 9999 + b"\tx\n") * 2, "more than once"),
    "17 MB in a line": ("x.jsonl", b'{"id": "' + b"a" * (17 << 20), "longer than"),
    "XML that is none": ("x.xml", b"le pere", "not well-formed"),
    "a zip": ("x.tsv", b"PK\x03\x04" + bytes(1000), "x.tsv"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_rows_are_one_line(case: str, tmp_path: Path, verb: Verb) -> None:
    name, data, word = HOSTILE[case]
    bad, good, out = tmp_path / name, tmp_path / "good.jsonl", tmp_path / "out"
    bad.write_bytes(data)
    good.write_text(ROW)
    for found in (
        verb("combine", f"--engine=x={bad}", "-o", out, "--no-lm", "--jobs", 1, out=out),
        verb("evaluate", good, bad, out=out),
        verb("evaluate", bad, good, out=out),
    ):
        (line,) = found.complaints
        assert found.code == 1 and found.seconds < 10 and len(line) < 800 and line.isprintable()
        assert word in line and name in line, line
    assert not list(out.glob("*.txt"))


def test_engines_without_a_line(tmp_path: Path, verb: Verb) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"\n\n")
    engine = f"--engine=x={tmp_path / 'empty.jsonl'}"
    found = verb("combine", engine, "-o", tmp_path / "out", out=tmp_path / "out")
    (line,) = found.complaints
    assert found.code == 1 and "no lines at all" in line and "empty.jsonl" in line


def test_a_bad_page_does_not_stop_the_others(tmp_path: Path, verb: Verb) -> None:
    """Even if only one of the engines has it broken: a page is combined of all or not at all."""
    for engine in ("one", "two"):
        folder = good_page(tmp_path / engine)
        (folder / "bad.xml").write_text(page_xml("bad"), encoding="utf-8")
        (folder / "hocr.hocr").write_text('<html><span class="ocr_line">x</span></html>')
    (tmp_path / "two" / "bad.xml").write_text(page_xml("bad")[:-30], encoding="utf-8")
    (tmp_path / "one" / "hocr.hocr").write_bytes(b"")
    engines = [f"--engine={name}={tmp_path / name}" for name in ("one", "two")]
    out = tmp_path / "out"
    for _ in range(2):
        words = ("combine", *engines, "-o", out, "--no-lm", "--jobs", 1, "--format", "txt,page")
        found = verb(*words, out=out)
        found.complaint("two/bad.xml", "not well-formed")
        found.complaint("one/hocr.hocr", "empty")
        assert len(found.complaints) == 2 and found.written == {"good"}
    (tmp_path / "two" / "bad.xml").write_text(page_xml("bad"), encoding="utf-8")
    assert verb(*words, out=out).written == {"good", "bad"}


def test_escapes_for_the_terminal_are_shown_not_obeyed(tmp_path: Path, verb: Verb) -> None:
    rows = [{"id": "\x1b[2J\u202e", "text": "x"}] * 2
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = verb("combine", f"--engine=x={tmp_path / 'x.jsonl'}", "-o", tmp_path, out=tmp_path)
    assert "\\x1b[2J\\u202e" in found.complaints[0] and "\x1b" not in found.talk


@pytest.mark.slow
def test_100_000_lines_on_a_page(tmp_path: Path, verb: Verb) -> None:
    """They are many, not hostile: done, in a time that grows with them and no faster. All of them
    in the nightly run."""
    many = 100_000 if "ENSEMBLE_HTR_FUZZ" in os.environ else 4_000
    line = '<TextLine id="l{}"><TextEquiv><Unicode>a</Unicode></TextEquiv></TextLine>'
    inside = "".join(line.format(i) for i in range(many))
    page = page_xml("p", "").replace(
        "</TextRegion>", f"{inside.replace('l0', 'first')}</TextRegion>"
    )
    (tmp_path / "p.xml").write_text(page, encoding="utf-8")
    out = tmp_path / "out"
    words = ("combine", f"--engine=x={tmp_path / 'p.xml'}", "-o", out, "--format", "txt")
    found = verb(*words, "--no-lm", "--jobs", 1, out=out)
    assert found.code == 0 and (out / "p.txt").read_bytes().count(b"\n") == many + 1, found.talk
    assert found.seconds < many / 1000
    scored = verb("evaluate", tmp_path / "p.xml", tmp_path / "p.xml", out=out)
    assert scored.code == 0 and scored.seconds < many / 1000
