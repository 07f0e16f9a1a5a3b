"""The HTML report, the TSV and the schema of the JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ensemble_htr.cli.evaluate import evaluate as command
from ensemble_htr.evaluate import (
    Options,
    Report,
    facts_of,
    json_schema,
    score_records,
    to_html,
    to_json,
    to_tsv,
)
from ensemble_htr.io.records import Record, to_jsonl
from ensemble_htr.text import profile

HOSTILE = "</script><b onclick='x()'>&amp;<!--\u2028"


class _Page(HTMLParser):
    """Collects tags, what is open at the end, and anything that would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "img", "input", "br", "line", "circle", "polyline"):
            self.open.append(tag)
        for name, value in attrs:
            wanted = name in ("src", "href") and not (value or "").startswith(("#", "data:"))
            if wanted or name.startswith("on"):
                self.loads.append(f"{tag} {name}={value}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag


def report(texts: list[tuple[str, str]], **options: object) -> Report:
    truth = [Record(str(i), t, "p", "d" if i % 2 else "e") for i, (t, _) in enumerate(texts)]
    read = [
        Record(str(i), r, "p", confidence=0.5, confidences=None) for i, (_, r) in enumerate(texts)
    ]
    return score_records(
        truth, {"<one>": read, "two": truth}, profile("fr-archive"), options=Options(**options)
    )  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text("ab<&\"'\u0627", max_size=6), st.text("ab>", max_size=6)),
                min_size=1, max_size=4))  # fmt: skip
def test_any_text_makes_a_whole_document(texts: list[tuple[str, str]]) -> None:
    page = _Page()
    page.feed(to_html(report(texts)))
    assert page.open == [] and page.loads == []


def test_texts_are_never_markup() -> None:
    found = report([(HOSTILE, "x" + HOSTILE), ("plain", "plain")])
    html = to_html(found)
    page = _Page()
    page.feed(html)
    assert "b" in page.tags and "onclick" not in re.sub(r"&lt;b.*?\n", "", html.split("<main>")[0])
    assert page.loads == []
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])  # type: ignore[index]
    assert data["systems"] == ["<one>", "two"]
    assert data["lines"][0][3] == found.systems[0].lines[0].reference
    assert data["lines"][1][5] == [0, 0]
    assert "default-src &#39;none&#39;" in html


def test_the_worst_line_has_its_picture(tmp_path: Path, page_xml: str) -> None:
    (tmp_path / "p.xml").write_text(page_xml)
    Image.new("L", (100, 50), 200).save(tmp_path / "p.jpg")
    truth = [Record("l1", "Acte", "p", "d"), Record("l2", "non", "p", "d")]
    read = [Record("l1", "Ante", "p", "d"), Record("l2", "non", "p", "d")]
    found = score_records(truth, {"a": read}, profile("nfc"))
    html = to_html(found, facts_of(tmp_path))
    assert html.count("data:image/jpeg;base64,") == 1
    assert "A<del>c</del><ins>n</ins>te" in html
    (tmp_path / "p.jpg").write_bytes(b"no picture")
    assert "data:image" not in to_html(found, facts_of(tmp_path))


def test_tsv_has_a_row_for_every_line_and_system() -> None:
    found = report([("a\tb\u2028c", "x"), ('"q', '"')])
    rows = list(csv.DictReader(io.StringIO(to_tsv(found)), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [(r["system"], r["id"], r["edits"]) for r in rows][0] == ("<one>", "0", "5")
    assert len(rows) == 4
    assert (rows[0]["reference"], rows[1]["reading"]) == ("a b c", '"')


def test_json_keeps_its_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    options = {"beside": (profile("strict"),), "engines": ("<one>", "two")}
    for found in (report([("", "")]), report([("Roy 12", "roi"), ("", "x")], **options)):
        validator.validate(json.loads(json.dumps(to_json(found), allow_nan=False)))
    keys = set(to_json(found)["systems"][0])
    described = set(schema["$defs"]["system"]["properties"])
    assert keys == described | set(schema["$defs"]["scores"]["properties"])


def test_the_command_writes_all_of_them(tmp_path: Path) -> None:
    truth = [Record(str(i), f"mot {i}", doc=f"d{i}") for i in range(4)]
    for name in ("truth", "a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(to_jsonl(truth))
    (tmp_path / "mine.toml").write_text('name = "mine"\n[rules]\ncase = "fold"\n')
    arguments = [str(tmp_path / f"{n}.jsonl") for n in ("truth", "a", "b")]
    for option, name in (("--report", "r.html"), ("--tsv", "r.tsv"), ("--json", "r.json")):
        arguments += [option, str(tmp_path / name)]
    arguments += ["--profile", "fr-archive", "--profile", str(tmp_path / "mine.toml")]
    run = CliRunner().invoke(command, [*arguments, "--engines", "a,b"])
    assert run.exit_code == 0, run.output
    assert "plain vote" in run.stdout and "mine" in run.stdout
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["profiles"][0]["profile"] == "mine"
    run = CliRunner().invoke(command, [*arguments[:2], "--profile", "nfc", "--profile", "all"])
    assert "case-folded" in run.stdout and run.stdout.count("no-punctuation") == 1
    run = CliRunner().invoke(command, [*arguments[:2], "--tsv", "-"])
    assert len(run.stdout.splitlines()) == 5
