"""``combine`` over what engines may give: absurd, spoilt or unlike one another. Every line is in
the output, or one clear line says why there is none."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import NS, Verdict, page_xml

Verb = Callable[..., Verdict]
PAGE_CONF = page_xml("p").replace("<TextEquiv>", '<TextEquiv conf="{}">')
ALTO = (
    '<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Layout><Page><PrintSpace><TextBlock>'
    '<TextLine ID="l0"><String CONTENT="le" {0}/><String CONTENT="p&#232;re" {0}/></TextLine>'
    "</TextBlock></PrintSpace></Page></Layout></alto>"
)


def equiv(text: str, index: int = 0) -> str:
    return f'<TextEquiv index="{index}"><Unicode>{text}</Unicode></TextEquiv>'


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def row(text: str, name: str = "a", **more: object) -> dict[str, object]:
    return {"id": name, "text": text, **more}


def combined(verb: Verb, out: Path, *engines: Path, formats: str = "jsonl") -> Verdict:
    named = [f"--engine=e{i}={path}" for i, path in enumerate(engines)]
    found = verb("combine", *named, "-o", out, "--no-lm", "--jobs", 1, "--format", formats, out=out)
    assert found.seconds < 10
    return found


def texts(out: Path, name: str = "combined") -> dict[str, str]:
    rows = map(json.loads, (out / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())
    return {row["id"]: row["text"] for row in rows}


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("long.jsonl", json.dumps(row("a" * 10_000_000)).encode(), "more than 5000 characters"),
        ("long.txt", b"a " * 5_000_000, "more than 5000 characters"),
        ("list.jsonl", json.dumps(row("a", nbest=[{"text": "b" * 9999, "score": 0}])).encode(),
         "more than 5000 characters"),
        ("nan.ctm", b"a 1 0 1 le nan\n", "not a number in [0, 1]"),
        ("noise.ctm", bytes(range(256)) * 99, "wanted file, channel"),
        ("short.ctm", b"a 1 0\n", "wanted file, channel"),
        ("endless.ctm", b"a 1 * * <ALT_BEGIN>\n" + b"a 1 0 1 le\n" * 9, "<ALT_END>"),
        ("apart.ctm", b"a 1 0 1 le\nb 1 0 1 le\na 1 1 1 roi\n", "more than once"),
        ("noise.txt", b"\xff\xfe\x00", "UTF-16"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(
    name: str, data: bytes, said: str, tmp_path: Path, verb: Verb
) -> None:
    (tmp_path / name).write_bytes(data)
    good = write(tmp_path / "good.jsonl", row("le roi"))
    found = combined(verb, tmp_path / "out", good, tmp_path / name)
    (line,) = found.complaints
    assert found.code == 1 and said in line and name in line and len(line) < 800


def test_10_000_hypotheses(tmp_path: Path, verb: Verb) -> None:
    nbest = [{"text": f"le roi {i}", "score": -float(i)} for i in range(10_000)]
    many = write(tmp_path / "many.jsonl", row("le roi 0", nbest=nbest))
    found = combined(verb, tmp_path / "out", many, write(tmp_path / "b.jsonl", row("le roi 1")))
    assert found.code == 0 and set(texts(tmp_path / "out")) == {"a"}
    assert "of 1 n-best lists the best 100 were kept" in found.talk


def test_10_000_rivals_of_lines_and_words(tmp_path: Path, verb: Verb) -> None:
    """In PAGE of a line and of each of 300 words, in CTM of a word."""
    line = "".join(equiv(f"le roi {i}", i) for i in range(10_000))
    words = "".join(
        f"<Word>{''.join(equiv(f'm{i}x{k}', k) for k in range(100))}</Word>" for i in range(300)
    )
    text = equiv(" ".join(f"m{i}x0" for i in range(300)))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "p.xml").write_text(
        f'<PcGts xmlns="{NS}"><Page imageFilename="p.png" imageWidth="9" imageHeight="9">'
        f'<TextRegion id="r"><TextLine id="l0">{line}</TextLine>'
        f'<TextLine id="l1">{words}{text}</TextLine></TextRegion></Page></PcGts>'
    )
    rivals = "l0 1 * * <ALT>\n".join(f"l0 1 0 1 w{i} 0.1\n" for i in range(10_000))
    (tmp_path / "c.ctm").write_text(
        f"l0 1 * * <ALT_BEGIN>\n{rivals}l0 1 * * <ALT_END>\nl0 1 1 1 roi\n"
    )
    found = combined(verb, tmp_path / "out", tmp_path / "a", tmp_path / "c.ctm")
    assert found.code == 0 and set(texts(tmp_path / "out", "p")) == {"l0", "l1"}


@pytest.mark.parametrize("conf", ["NaN", "-1", "97.3", "1e400", "&#233;"])
def test_spoilt_confidences_of_xml(conf: str, tmp_path: Path, verb: Verb) -> None:
    for name, text in (("a", PAGE_CONF), ("b", ALTO)):
        (tmp_path / name).mkdir()
        spoilt = f'WC="{conf}" CC="{conf}"' if name == "b" else conf
        (tmp_path / name / "p.xml").write_text(text.format(spoilt), encoding="utf-8")
    found = combined(verb, tmp_path / "out", tmp_path / "a", tmp_path / "b")
    assert found.code == 0 and texts(tmp_path / "out", "p") == {"l0": "le père"}
    assert "no number in [0, 1] was ignored" in found.talk


def test_mixed_forms_of_unicode_are_one_reading(tmp_path: Path, verb: Verb) -> None:
    forms = [unicodedata.normalize(form, "été à Besançon") for form in ("NFC", "NFD")]
    engines = [write(tmp_path / f"{i}.jsonl", row(t, confidences=[0.5] * len(t)))
               for i, t in enumerate(forms)]  # fmt: skip
    assert combined(verb, tmp_path / "out", *engines).code == 0
    assert texts(tmp_path / "out") == {"a": forms[0]}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("le\x00 ro\x07i\x1b[2J", "le roi[2J"),
        ("שלום עולם", "שלום עולם"),
        ("\u202eאבג\u202c abc", "אבג abc"),
        ("a\u200b\u2028b\x85", "a b"),
        ("\u0301" * 3000, "\u0301" * 3000),  # marks that combine with nothing
        ("👩\u200d👩\u200d👧 x", None),
        ("", ""),
        (" \t ", ""),
    ],
)
def test_odd_characters(given: str, wanted: str | None, tmp_path: Path, verb: Verb) -> None:
    sure = [0.5] * len(given)
    engines = [write(tmp_path / f"{i}.jsonl", row(given, confidences=sure)) for i in range(3)]
    assert combined(verb, tmp_path / "out", *engines, formats="jsonl,txt").code == 0
    found = texts(tmp_path / "out")["a"]
    assert wanted is None or found == wanted
    assert (tmp_path / "out" / "combined.txt").read_bytes().count(b"\n") == 1


def test_ids_that_occur_twice(tmp_path: Path, verb: Verb) -> None:
    """In rows they are an error, in page files later ones are given another id."""
    rows = write(tmp_path / "x.jsonl", row("le"), row("roi"))
    assert "more than once" in combined(verb, tmp_path / "one", rows).complaints[0]
    twice = page_xml("p", lines=3).replace('id="l2"', 'id="l0"').replace('id="l1"', "")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "p.xml").write_text(twice, encoding="utf-8")
    assert combined(verb, tmp_path / "out", tmp_path / "a", tmp_path / "a").code == 0
    assert set(texts(tmp_path / "out", "p")) == {"l0", "l0-2", "line-2"}


def test_lines_missing_everywhere_are_all_there(tmp_path: Path, verb: Verb) -> None:
    """Engines of five kinds, none of which has all lines: on the page what its XML has, the others
    in the file beside."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "p.xml").write_text(page_xml("p", "", "le père", 2), encoding="utf-8")
    jsonl = write(
        tmp_path / "b.jsonl", row("le pere", "l1", page="p"), row("tiers", "m1", page="p")
    )
    (tmp_path / "c.ctm").write_text("l0 1 0 1 le 0.5\nm2 1 0 1 roi\n")
    (tmp_path / "d.tsv").write_text("l0\tle pere\nm3\tx\n")
    (tmp_path / "e.txt").write_text("une ligne toute autre\n")
    others = [tmp_path / name for name in ("c.ctm", "d.tsv", "e.txt")]
    found = combined(verb, tmp_path / "out", jsonl, tmp_path / "a", *others)
    assert found.code == 0 and texts(tmp_path / "out", "p") == {"l0": "le père", "l1": "le père"}
    assert texts(tmp_path / "out") == {
        "m1": "tiers", "m2": "roi", "m3": "x", "line-1": "une ligne toute autre",
    }  # fmt: skip
    assert "4 lines are on no page that is written: see combined.jsonl" in found.talk
    assert "match no line of the engines before it (line-1)" in found.talk.replace("e/line", "line")
