"""The HTML view: whole, self-contained, hostile text harmless, only the worst places shaded."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ensemble_htr.errors import ImageError
from ensemble_htr.report import PROBABILITY, HtmlOptions, render_html
from ensemble_htr.report.lines import Shading
from ensemble_htr.text import graphemes
from ensemble_htr.types import Arc, ConfusionNetwork, Line, Page, Reading, Slot

HOSTILE = (
    "</title></style><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;<!-- ]]> \x00"
)
VOID = {"meta", "img", "image", "br", "link"}


class Checker(HTMLParser):
    """Every tag closed in order; what was opened, loaded and said."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.attributes: set[str] = set()
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)
        self.loads += [str(v) for n, v in attrs if n in ("src", "href", "action", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def check(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    assert checker.tags.count("script") == 1
    assert all(x.startswith(("#line-", "data:image/jpeg;base64,")) for x in checker.loads)
    assert not any(name.startswith("on") for name in checker.attributes)
    return checker


def reading(text: str, other: str | None = None, sure: float = 0.9) -> Reading:
    """A reading whose network has a second engine that read ``other`` (of the same length)."""
    tokens = graphemes(text)
    rival = graphemes(other) if other is not None else tokens
    slots = tuple(
        Slot((Arc(a, {PROBABILITY: sure}), *([Arc(b, {PROBABILITY: 1 - sure})] if a != b else [])))
        for a, b in zip(tokens, rival, strict=True)
    )
    rows = {"one": tokens, "two": rival, "two#1": tokens}
    network = ConfusionNetwork(slots, rows)
    confidences = tuple(sure if a != b else 0.99 for a, b in zip(tokens, rival, strict=True))
    return Reading(tokens, confidences, sure, network=network, slots=tuple(range(len(tokens))))


@pytest.fixture
def page(tmp_path: Path) -> Page:
    path = tmp_path / "p.png"
    Image.fromarray(np.full((60, 200, 3), 220, np.uint8)).save(path)
    lines = (
        Line("a", ((10.0, 25.0), (190.0, 25.0)), ((10.0, 5.0), (190.0, 5.0), (190.0, 30.0))),
        Line("b", ((10.0, 50.0), (190.0, 52.0))),
        Line("c"),
    )
    return Page("p", lines, 400, 120, path, doc="d")


def test_a_page_is_whole_and_loads_nothing(page: Page) -> None:
    readings = {"a": reading("le chat", "le chot", 0.6), "b": reading("dort")}
    html = render_html(page, readings)
    checker = check(html)
    assert checker.tags.count("article") == 3
    assert checker.tags.count("polygon") == 2  # a line without geometry has no outline
    assert "this line was not read" in html
    assert 'viewBox="0 0 400 120"' in html  # the XML's coordinates, whatever the picture's size
    assert "default-src 'none'" in html
    assert "two#1" not in html  # alternatives of an engine are not rows


def test_engines_are_shown_in_columns(page: Page) -> None:
    html = render_html(page, {"a": reading("chat", "chot", 0.6)})
    chosen, one, two = re.findall(r"<tr.*?</tr>", html)
    assert re.sub("<.*?>", "", chosen) == "chosenchat"
    assert re.sub("<.*?>", "", one) == "onechat" and "other" not in one
    assert re.sub("<.*?>", "", two) == "twochot" and two.count('class="other"') == 1
    assert "What else could stand there" in html
    assert re.search(r"<b>a</b> 60&#8239;%.*<b>o</b> 40&#8239;%", html)


@pytest.mark.parametrize(
    "where", ["text", "rival", "engine", "id", "doc", "title", "no_lm", "truth"]
)
def test_hostile_text_is_harmless(page: Page, where: str) -> None:
    text = HOSTILE if where in ("text", "rival") else "text"
    rival = HOSTILE[::-1] if where == "rival" else text
    base = reading(text, rival, 0.3)
    assert base.network is not None
    rows = dict(base.network.rows)
    if where == "engine":
        rows[HOSTILE] = rows.pop("two")
    network = ConfusionNetwork(base.network.slots, rows)
    without = HOSTILE if where == "no_lm" else None
    final = Reading(base.tokens, base.confidences, 0.5, (), network, base.slots, without)
    name = HOSTILE if where == "id" else "a"
    lines = (Line(name, page.lines[0].baseline, page.lines[0].polygon),)
    doc = HOSTILE if where == "doc" else ""
    hostile = Page("p", lines, 400, 120, page.image, doc=doc)
    truth = {name: HOSTILE if where == "truth" else "text"}
    title = HOSTILE if where == "title" else ""
    checker = check(render_html(hostile, {name: final}, None, HtmlOptions(title, truth)))
    said = "".join(checker.said)  # nothing was lost on the way either
    assert "alert(1)" in said or "trela" in said or where == "text"


def test_what_is_no_text_is_replaced() -> None:
    odd = "a\x00\x1b\ud800b"
    html = render_html(Page("p", (Line("a"),)), {"a": Reading(tuple(odd), (1.0,) * 5, 1.0)})
    assert "a\ufffd\ufffd\ufffdb" in html
    html.encode("utf-8")


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=30), st.text(max_size=12), st.floats(0, 1))
def test_any_text_makes_a_whole_document(text: str, other: str, sure: float) -> None:
    tokens = graphemes(text)
    found = Reading(tokens, (sure,) * len(tokens), sure, without_lm=other)
    html = render_html(Page("s", (Line(other),)), {other: found}, None,
                       HtmlOptions(truth={other: other}))  # fmt: skip
    check(html)


def test_crops_of_the_recognizer_are_inverted(page: Page) -> None:
    ink = np.zeros((20, 50), np.uint8)  # nothing but paper
    html = render_html(Page("p", (Line("a"),)), {}, {"a": ink})
    (uri,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    picture = np.asarray(Image.open(BytesIO(base64.b64decode(uri))))
    assert picture.shape == (20, 50) and picture.min() > 250


def test_an_image_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    with pytest.raises(ImageError, match=r"x\.jpg: cannot be decoded"):
        render_html(Page("x", (), 10, 10, path), {})


def test_the_truth_is_compared_under_the_profile(page: Page) -> None:
    options = HtmlOptions(truth={"a": "l’an  mil", "b": "dort"})
    html = render_html(page, {"a": reading("l'an mil"), "b": reading("dart")}, None, options)
    assert "<b>8.3&#8239;%</b> CER (1 of 12, profile fr-archive)" in html
    assert html.count('class="truth"') == 1 and '<span class="miss">o</span>' in html


@given(st.lists(st.floats(0, 1), max_size=400), st.floats(0.01, 0.2))
def test_only_the_least_sure_are_shaded(confidences: list[float], share: float) -> None:
    shading = Shading.of(confidences, share)
    shaded = [c for c in confidences if shading.grade(c)]
    count = int(len(confidences) * share)
    if count:
        ties = sum(c == shading.limit for c in confidences)
        assert len(shaded) <= count + max(0, ties - 1)
        assert all(c <= 0.9 for c in shaded)
    plain = [c for c in confidences if not shading.grade(c)]
    assert not shaded or not plain or max(shaded) < min(plain)
    grades = [shading.grade(c) for c in sorted(confidences)]
    assert grades == sorted(grades, reverse=True) and set(grades) <= {0, 1, 2, 3}


def test_long_lines_are_broken_at_spaces() -> None:
    text = "mot " * 60
    html = render_html(Page("p", (Line("a"),)), {"a": reading(text.strip())})
    rows = [re.sub("<.*?>", "", row) for row in re.findall('<tr class="chosen">.*?</tr>', html)]
    assert len(rows) > 1 and all(len(row) <= 64 + len("chosen") for row in rows)
    assert "".join(row.removeprefix("chosen") for row in rows).replace("␣", " ") == text.strip()
