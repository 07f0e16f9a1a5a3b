"""Normalisation profiles: laws of all, and what each is for."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.errors import ConfigError, InputError, UsageError
from ensemble_htr.evaluate import find_profile
from ensemble_htr.metrics import char_counts
from ensemble_htr.text import PROFILES, Rules, lettered, make_profile, profile

TEXT = st.one_of(
    st.text(max_size=12), st.text("aÉe\u0301ſvJ <>|¥^’«–ᵉﬁ\u00ad\n\t\u200d", max_size=12)
)
NAMES = st.sampled_from(sorted(PROFILES))


@given(TEXT, NAMES)
def test_a_profile_applied_twice_is_applied_once(text: str, name: str) -> None:
    once = profile(name).apply(text)
    assert profile(name).apply(once) == once
    assert "".join(profile(name).tokens(text)) == once


@given(TEXT)
def test_strict_changes_nothing(text: str) -> None:
    assert profile("strict").apply(text) == text
    assert profile("strict").tokens(text) == tuple(text)
    assert make_profile("mine", "", Rules()).apply(text) == text


@given(TEXT)
def test_unicode_forms_are_one_text_under_nfc(text: str) -> None:
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    for name in set(PROFILES) - {"strict"}:
        assert char_counts(forms[0], forms[1], profile(name)).edits == 0


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("nfc", "  M^me\u00a0 d’E\u0301t\u200dé\n\n", "M^me d’Ét\u200dé"),
        ("fr-archive", " M^me | d’Été ¥", "M^me d'Été"),
        ("diplomatic", "«d’une» – ſage | M^r", '"d\'une" - ſage | M^r'),
        ("normalised", "<biffé> ſage |ﬁn| 1ᵉʳ M^me Javel", "sage fin 1er Mme Iauel"),
        ("no-punctuation", "l’eau, (sic) - fin.", "leau sic fin"),
        ("case-folded", "LE Roi ẞ", "le roi ss"),
    ],
)
def test_what_each_profile_makes_of_a_text(name: str, text: str, wanted: str) -> None:
    assert profile(name).apply(text) == wanted


@pytest.mark.parametrize(
    ("rules", "text", "scorable"),
    [
        (Rules(unread="XXX"), "le XXX", False),
        (Rules(unread="XXX", case="fold"), "le XXX", False),
        (Rules(unread="XXX", case="fold"), "chapitre xxx", True),
        (Rules(unread="[...]", punctuation="drop"), "le [...]", False),
        (Rules(unread="[…]", form="NFKC"), "le […]", False),
        (Rules(unread="XXX", struck="drop"), "le <XXX> roi", True),
    ],
)
def test_what_was_unread_is_so_in_whatever_form(rules: Rules, text: str, scorable: bool) -> None:
    assert make_profile("mine", "", rules).scorable(text) is scorable


def test_units() -> None:
    assert len(profile("nfc").tokens("q\u0303")) == 2
    assert len(profile("fr-archive").tokens("q\u0303")) == 1


def test_a_profile_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nbase = "fr-archive"\n[rules]\ncase = "fold"\ndenominator = "alignment"\n'
    )
    mine = find_profile(str(path))
    assert mine.apply("L’EAU ¥") == "l'eau"
    assert (mine.name, mine.unread, mine.denominator) == ("mine", "XXX", "alignment")
    assert mine.description == "as fr-archive, but case = fold, denominator = alignment"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('name = "m"\nbase = "nfcc"', ConfigError, "unknown base 'nfcc'; did you mean 'nfc'"),
        ('name = "nfc"', ConfigError, "name 'nfc' is taken"),
        ('name = "m"\n[rules]\ncase = "lower"', ConfigError, "case is 'lower'"),
        ('name = "m"\n[rules]\ncaze = "fold"', ConfigError, "unknown key 'caze'; did you mean"),
        ('name = "m', ConfigError, "not valid TOML"),
        (None, InputError, "cannot be read"),
    ],
)
def test_bad_profiles(
    tmp_path: Path, text: str | None, error: type[Exception], message: str
) -> None:
    path = tmp_path / "mine.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=message):
        find_profile(str(path))
    with pytest.raises(UsageError, match="did you mean 'nfc'"):
        find_profile("nf")


@given(st.lists(st.text("a1 .", max_size=4), max_size=6))
def test_lines_that_are_judged_have_a_letter_unless_none_has(texts: list[str]) -> None:
    found = lettered(texts)
    assert len(found) == len(texts)
    judged = [text for text, mine in zip(texts, found, strict=True) if mine]
    assert judged == ([text for text in texts if "a" in text] or texts)
