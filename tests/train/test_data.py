"""Laws of the training data: packs come back, batches cover the sample, weights keep shares."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

cv2 = pytest.importorskip("cv2")

from ensemble_htr.errors import InputError, XMLError  # noqa: E402
from ensemble_htr.layout.preprocess import Preprocess  # noqa: E402
from ensemble_htr.train.data import (  # noqa: E402
    Sample,
    alphabet_of,
    batches,
    data_hash,
    load_folder,
    read_pack,
    weights,
    write_pack,
)
from ensemble_htr.train.recipe import DataOptions, Source  # noqa: E402

Lines = Callable[[int, int, str], list[Sample]]
OPTIONS = DataOptions(train=(Source("one", 3.0), Source("two", 1.0)), val="val")


def sample(width: int, hand: str = "h", source: str = "one", text: str = "ab") -> Sample:
    return Sample(f"{source}/{hand}", hand, hand, source, text, np.zeros((8, width), np.uint8))


def facts(samples: list[Sample]) -> list[tuple[str, ...]]:
    return [(s.id, s.doc, s.hand, s.source, s.text) for s in samples]


# ---- packs -------------------------------------------------------------------------------


def test_a_lossless_pack_comes_back_exactly(tmp_path: Path, lines: Lines) -> None:
    samples = [*lines(9, 1, "train"), dataclasses.replace(sample(5), text="é\"\n'", id="ü/1")]
    size = write_pack(tmp_path / "all.pack", samples, 0)
    assert size == (tmp_path / "all.pack").stat().st_size
    back = read_pack(tmp_path / "all.pack")
    assert facts(back) == facts(samples)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(samples, back, strict=True))
    assert data_hash(back) == data_hash(samples)


def test_a_webp_pack_comes_back_closely(tmp_path: Path, lines: Lines) -> None:
    samples = lines(9, 1, "train")
    write_pack(tmp_path / "small.pack", samples, 28)
    for before, after in zip(samples, read_pack(tmp_path / "small.pack"), strict=True):
        assert after.image.shape == before.image.shape
        assert after.image.dtype == np.uint8
        assert np.abs(after.image.astype(int) - before.image).mean() < 12


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "p"
    write_pack(path, [sample(9), sample(12, "g")], 0)
    return path


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_pack_is_refused_in_one_line(data: st.DataObject, packed: Path) -> None:
    whole, damaged = packed.read_bytes(), packed.with_name("damaged")
    damaged.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(InputError, match="packed lines") as caught:
        read_pack(damaged)
    assert "\n" not in str(caught.value)
    flipped = bytearray(whole)
    flipped[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    damaged.write_bytes(bytes(flipped))
    # A flipped bit may pass unseen in a text, but nothing else than our error may come.
    with contextlib.suppress(InputError):
        read_pack(damaged)


INDEXES = [  # what stands where the index of the lines should be
    {},  # empty: no lines, but bytes follow
    [1],  # no table
    ["text"],
    [{"bytes": 1}],  # lacks the fields
    [dict.fromkeys(("id", "doc", "hand", "source"), "x") | {"text": 5, "bytes": 1}],
    [dict.fromkeys(("id", "doc", "hand", "source", "text"), "x") | {"bytes": -1}],
    [dict.fromkeys(("id", "doc", "hand", "source", "text"), "x") | {"bytes": 0}],
    [dict.fromkeys(("id", "doc", "hand", "source", "text"), "x") | {"bytes": 10**30}],
    [dict.fromkeys(("id", "doc", "hand", "source", "text"), "x") | {"bytes": "many"}],
]


@pytest.mark.parametrize("index", INDEXES)
def test_a_foreign_index_is_refused(tmp_path: Path, index: object) -> None:
    head = json.dumps(index).encode()
    pack = b"EHTRPACK1\n" + len(head).to_bytes(8, "little") + head + b"no image"
    (tmp_path / "p").write_bytes(pack)
    with pytest.raises(InputError, match="damaged"):
        read_pack(tmp_path / "p")


def test_a_pack_knows_its_preprocessing_steps(tmp_path: Path) -> None:
    steps, path = Preprocess(deslant=True), tmp_path / "p"
    write_pack(path, [sample(9)], 0, steps)
    assert len(read_pack(path, steps)) == 1
    for others in (None, Preprocess(), Preprocess(deslant=True, flatten=True)):
        with pytest.raises(InputError, match=r"other \[preprocess\] steps"):
            read_pack(path, others)
    write_pack(path, [sample(9)], 0, Preprocess())  # all off: as packs were before the steps
    assert len(read_pack(path)) == 1 and b"steps" not in path.read_bytes()


def test_no_pack_at_all(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"RIFF....WEBP")
    with pytest.raises(InputError, match="--pack"):
        read_pack(tmp_path / "p")
    with pytest.raises(InputError, match="missing"):
        read_pack(tmp_path / "missing")


# ---- sampling ----------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 900), min_size=1, max_size=60),
    st.integers(1, 150),
    st.integers(1, 3000),
    st.integers(0, 99),
)
def test_batches_cover_what_was_sampled_within_the_width(
    widths: list[int], count: int, bound: int, seed: int
) -> None:
    samples = [sample(width) for width in widths]
    chance = np.full(len(samples), 1 / len(samples))
    groups = list(batches(samples, chance, count, bound, np.random.default_rng(seed)))
    times = Counter(int(i) for group in groups for i in group)
    assert sum(times.values()) == count
    full, rest = divmod(count, len(samples))  # without replacement, as far as the lines last
    assert set(times.values()) <= ({full, full + 1} if rest else {full})
    for group in groups:
        assert len(group) == 1 or max(widths[i] for i in group) * len(group) <= bound
    again = list(batches(samples, chance, count, bound, np.random.default_rng(seed)))
    assert all(np.array_equal(a, b) for a, b in zip(groups, again, strict=True))


def test_batches_hold_lines_of_like_width() -> None:
    rng = np.random.default_rng(0)
    samples = [sample(int(width)) for width in rng.integers(20, 900, 400)]
    chance = np.full(400, 1 / 400)
    groups = list(batches(samples, chance, 400, 4000, rng))
    waste = [np.ptp([samples[i].image.shape[1] for i in group]) for group in groups]
    assert np.mean(waste) < 200
    means = [np.mean([samples[i].image.shape[1] for i in group]) for group in groups]
    assert means != sorted(means)


def test_lines_without_a_chance_are_never_drawn() -> None:
    samples = [sample(10) for _ in range(4)]
    chance = np.array([0.5, 0.0, 0.5, 0.0])
    drawn = np.concatenate(list(batches(samples, chance, 7, 50, np.random.default_rng(1))))
    assert set(drawn.tolist()) == {0, 2}
    assert len(drawn) == 7


def test_weights_sum_to_one_and_keep_the_shares() -> None:
    samples = [sample(9, "x", "one") for _ in range(16)] + [sample(9, "y", "one")]
    samples += [sample(9, "z", "two") for _ in range(5)]
    chance = weights(samples, dataclasses.replace(OPTIONS, hand_power=0.5))
    assert chance.sum() == pytest.approx(1)
    assert chance[:17].sum() == pytest.approx(0.75)  # share 3 against 1
    assert chance[:16].sum() / chance[16] == pytest.approx(4.0)  # 16 ** 0.5 against 1
    even = weights(samples, dataclasses.replace(OPTIONS, hand_power=0.0))
    assert even[:16].sum() == pytest.approx(even[16])
    plain = weights(samples, dataclasses.replace(OPTIONS, hand_power=1.0))
    assert np.ptp(plain[:17]) < 1e-12


def test_weights_of_lines_without_a_letter() -> None:
    samples = [sample(9), sample(9, text="1858")]
    chance = weights(samples, dataclasses.replace(OPTIONS, letterless=0.25))
    assert chance[1] / chance[0] == pytest.approx(0.25)
    with pytest.raises(InputError, match="letterless"):
        weights(samples[1:], dataclasses.replace(OPTIONS, letterless=0.0))


def test_alphabet() -> None:
    samples = [sample(9, text="aabé"), sample(9, text="e\u0301b")]
    assert alphabet_of(samples, OPTIONS) == ("a", "b", "é")
    assert alphabet_of(samples, dataclasses.replace(OPTIONS, rarest=3)) == ()


# ---- pages -------------------------------------------------------------------------------


PAGE = """<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<Page imageFilename="{stem}.png" imageWidth="400" imageHeight="120"><TextRegion id="r">
<Coords points="0,0 400,0 400,120 0,120"/>
<TextLine id="read"><Coords points="10,10 390,10 390,50 10,50"/><Baseline points="10,40 390,40"/>
<TextEquiv><Unicode>l\u2019an  mil</Unicode></TextEquiv></TextLine>
<TextLine id="unread"><Coords points="10,60 390,60 390,99 10,99"/><Baseline points="10,90 390,90"/>
<TextEquiv><Unicode>le XXX jour</Unicode></TextEquiv></TextLine>
<TextLine id="silent"><Coords points="10,60 390,60 390,99 10,99"/></TextLine>
</TextRegion></Page></PcGts>"""


def folder_of_pages(root: Path) -> Path:
    """Two pages of three lines: one with a text, one with an unread word, one with nothing."""
    folder = root / "one"
    folder.mkdir()
    for stem in ("a__1", "b__1"):
        (folder / f"{stem}.xml").write_text(PAGE.format(stem=stem), encoding="utf-8")
        cv2.imwrite(str(folder / f"{stem}.png"), np.full((120, 400), 220, np.uint8))
    return folder


def test_pages_become_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of_pages(tmp_path)
    (folder / "manifest.csv").write_text("doc,xml,hand\na,a__1.xml,clerk\n", encoding="utf-8")
    found = load_folder(tmp_path, "one", OPTIONS)
    assert [(s.id, s.text) for s in found] == [("a__1/read", "l'an mil"), ("b__1/read", "l'an mil")]
    assert {s.hand for s in found if s.doc == "a"} == {"clerk"}
    assert {s.hand for s in found if s.doc == "b"} == {"b"}
    assert all(s.image.shape[0] == OPTIONS.height and s.source == "one" for s in found)
    assert capsys.readouterr().out == ""  # stdout is data


def test_a_manifest_that_cannot_be_read(tmp_path: Path) -> None:
    folder = folder_of_pages(tmp_path)
    (folder / "manifest.csv").write_bytes(b"doc,xml,hand\n\xff\xfe\n")
    with pytest.raises(InputError, match="manifest"):
        load_folder(tmp_path, "one", OPTIONS)
    (folder / "manifest.csv").write_text("something,else\n1,2\n")
    assert load_folder(tmp_path, "one", OPTIONS)
    (folder / "a__1.xml").write_text("<!DOCTYPE x><x/>")
    with pytest.raises(XMLError):
        load_folder(tmp_path, "one", OPTIONS)
