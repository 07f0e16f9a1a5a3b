"""Normalisation profiles: the one declared convention for training, LM text and scoring.

A profile is printed beside every figure. ``fr-archive`` is the house convention for French
archives (see the data pack's traps): NFC, apostrophes folded, whitespace collapsed, ``^`` kept,
``¥`` (signature) and ``|`` (table rule) dropped, struck text kept, ``XXX`` = unread word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from ensemble_htr.errors import UsageError, did_you_mean

__all__ = [
    "PROFILES",
    "RULES",
    "Profile",
    "Rules",
    "fold",
    "graphemes",
    "has_letter",
    "is_number",
    "is_run",
    "lettered",
    "make_profile",
    "profile",
]

_APOSTROPHES = str.maketrans(dict.fromkeys("‘’‛ʼ′´`", "'"))
_QUOTES = str.maketrans(dict.fromkeys("«»„“”‟″‹›‚", '"'))
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−⸗﹣－", "-"))
_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st",
                            "ﬆ": "st"})  # fmt: skip
_SPACE = re.compile(r"\s+")
_BREAK = re.compile(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_FIRST_MARK = "\u0300"  # no character below combines with another
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_STRUCK = re.compile(r"<[^<>]*>|>[^<>]*<")
_STRIKES = str.maketrans(dict.fromkeys("<>", ""))
_UNREAD = "\ufdd0"  # no character (Unicode says so), and no rule but that of struck text drops it
_SETTLED = 16  # rounds; struck text may stand in struck text


@dataclass(frozen=True, slots=True)
class Rules:
    """What a profile does to a text, as a table of a TOML file may say it. Steps are taken in the
    order of the fields. Without any field nothing is changed."""

    form: Literal["keep", "NFC", "NFD", "NFKC", "NFKD"] = "keep"  # Unicode form (UAX #15)
    unit: Literal["code point", "grapheme"] = "code point"  # what a character error counts
    invisible: Literal["keep", "drop"] = "keep"  # soft hyphens, joiners, directions, controls
    newline: Literal["keep", "blank", "drop"] = "keep"  # a line break inside a text
    apostrophes: Literal["keep", "fold"] = "keep"  # to '
    quotes: Literal["keep", "fold"] = "keep"  # to "
    dashes: Literal["keep", "fold"] = "keep"  # to -
    ligatures: Literal["keep", "split"] = "keep"  # typographic ones (ﬁ); æ and œ are letters
    superscripts: Literal["keep", "plain"] = "keep"  # ᵉ and ² to e and 2
    caret: Literal["keep", "drop"] = "keep"  # the mark of superscripts in M^me
    long_s: Literal["keep", "fold"] = "keep"  # ſ to s
    u_v: Literal["keep", "fold"] = "keep"  # v to u
    i_j: Literal["keep", "fold"] = "keep"  # j to i
    struck: Literal["keep", "unmark", "drop"] = "keep"  # <struck> and >struck<
    drop: str = ""  # characters that are not text
    case: Literal["keep", "fold"] = "keep"
    accents: Literal["keep", "drop"] = "keep"
    punctuation: Literal["keep", "drop"] = "keep"
    whitespace: Literal["keep", "strip", "collapse", "remove"] = "keep"  # collapse strips too
    unread: str = ""  # marks a word nobody could read
    denominator: Literal["reference", "alignment"] = "reference"  # what errors are divided by
    costs: Literal["unit", "sclite"] = "unit"  # of the alignment: Levenshtein's, or NIST's 4, 3, 3


@dataclass(frozen=True, slots=True)
class Profile:
    """A named normalisation: ``apply`` is total and idempotent, and returns NFC unless its rules
    ask for another form or for none.

    ``unread`` marks a word nobody could read: lines that hold it are neither trained on nor scored.
    """

    name: str
    description: str
    apply: Callable[[str], str]
    unread: str | None = None
    unit: Literal["code point", "grapheme"] = "grapheme"
    denominator: Literal["reference", "alignment"] = "reference"
    costs: Literal["unit", "sclite"] = "unit"

    def tokens(self, text: str) -> tuple[str, ...]:
        """Normalise ``text`` and cut it into tokens (grapheme clusters, or code points)."""
        return self.cut(self.apply(text))

    def cut(self, text: str) -> tuple[str, ...]:
        """Cut normalised text into tokens."""
        return graphemes(text) if self.unit == "grapheme" else tuple(text)

    def scorable(self, text: str) -> bool:
        """Whether a reference text, as it was transcribed, may be scored or trained on: whether
        ``apply`` leaves nothing of it that is unread, in whatever case or form."""
        if not self.unread or self.unread not in text:
            return True
        return _UNREAD not in self.apply(text.replace(self.unread, _UNREAD))


def make_profile(name: str, description: str, rules: Rules) -> Profile:
    """The profile that follows ``rules``."""
    steps = _steps(rules)

    def once(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    def apply(text: str) -> str:
        for _ in range(_SETTLED):  # what is dropped may bring a base and its accent together
            before, text = text, once(text)
            if before == text:
                break
        return text

    return Profile(
        name,
        description,
        apply,
        rules.unread or None,
        rules.unit,
        rules.denominator,
        rules.costs,
    )


def _steps(rules: Rules) -> list[Callable[[str], str]]:
    """The functions, in order, that rules ask for."""

    def formed(text: str) -> str:
        return text if text.isascii() else unicodedata.normalize(form, text)

    form = rules.form if rules.form != "keep" else "NFC"
    dropped = dict.fromkeys(map(ord, rules.drop))
    table: list[tuple[bool, Callable[[str], str]]] = [
        (rules.newline == "blank", lambda t: _BREAK.sub(" ", t)),
        (rules.newline == "drop", lambda t: _BREAK.sub("", t)),
        (rules.invisible == "drop", _visible),
        (rules.form != "keep", formed),
        (rules.apostrophes == "fold", lambda t: t.translate(_APOSTROPHES)),
        (rules.quotes == "fold", lambda t: t.translate(_QUOTES)),
        (rules.dashes == "fold", lambda t: t.translate(_DASHES)),
        (rules.ligatures == "split", lambda t: t.translate(_LIGATURES)),
        (rules.superscripts == "plain", _plain_superscripts),
        (rules.struck == "drop", lambda t: _STRUCK.sub("", t)),
        (rules.struck == "unmark", lambda t: t.translate(_STRIKES)),
        (rules.caret == "drop", lambda t: t.replace("^", "")),
        (rules.long_s == "fold", lambda t: t.replace("ſ", "s")),
        (rules.u_v == "fold", lambda t: t.replace("v", "u").replace("V", "U")),
        (rules.i_j == "fold", lambda t: t.replace("j", "i").replace("J", "I")),
        (bool(rules.drop), lambda t: t.translate(dropped)),
        (rules.case == "fold", str.casefold),
        (rules.accents == "drop", _without_accents),
        (rules.punctuation == "drop", _without_punctuation),
        (rules.form != "keep", formed),
        (rules.whitespace == "collapse", lambda t: _SPACE.sub(" ", t).strip()),
        (rules.whitespace == "strip", str.strip),
        (rules.whitespace == "remove", lambda t: _SPACE.sub("", t)),
    ]  # fmt: skip
    return [step for wanted, step in table if wanted]


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub("", _INVISIBLE.sub("", text))


def _plain_superscripts(text: str) -> str:
    if text.isascii():
        return text
    return "".join(
        unicodedata.normalize("NFKC", c) if unicodedata.decomposition(c)[:7] == "<super>" else c
        for c in text
    )


def _without_accents(text: str) -> str:
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def _without_punctuation(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c)[0] != "P")


_NFC = Rules(form="NFC", newline="blank", whitespace="collapse")
_PLAIN = replace(_NFC, unit="grapheme", invisible="drop", newline="keep")
_ARCHIVE = replace(_PLAIN, apostrophes="fold", drop="¥|", unread="XXX")
_READING = replace(_ARCHIVE, struck="drop", caret="drop")

RULES: dict[str, tuple[str, Rules]] = {
    "strict": ("nothing changed, not even spaces; code points", Rules()),
    "nfc": ("NFC; whitespace collapsed; code points", _NFC),
    "fr-archive": (
        "NFC; apostrophes to '; whitespace collapsed; ^ kept; ¥ and | dropped; "
        "struck text kept; lines with XXX not scored",
        _ARCHIVE,
    ),
    "fr-reading": (
        "as fr-archive, but struck words (<...>, >...<) and ^ are dropped",
        _READING,
    ),
    "diplomatic": (
        "every sign as it stands on the page (case, ſ, u/v, i/j, ^, signs, struck text); shapes of "
        "quotes and dashes folded; NFC graphemes; whitespace collapsed; lines with XXX not scored",
        replace(_ARCHIVE, drop="", quotes="fold", dashes="fold"),
    ),
    "normalised": (
        "a text to read: as fr-reading, and quotes, dashes, ligatures, superscripts, ſ, u/v and "
        "i/j folded",
        replace(_READING, quotes="fold", dashes="fold", ligatures="split", superscripts="plain",
                long_s="fold", u_v="fold", i_j="fold"),
    ),
    "no-punctuation": ("as fr-archive, without punctuation", replace(_ARCHIVE, punctuation="drop")),
    "case-folded": ("as fr-archive, without upper case", replace(_ARCHIVE, case="fold")),
    "plain": (
        "NFC; invisible characters dropped; whitespace collapsed",
        _PLAIN,
    ),
}  # fmt: skip

PROFILES: dict[str, Profile] = {
    name: make_profile(name, description, rules) for name, (description, rules) in RULES.items()
}


def profile(name: str) -> Profile:
    """Return the profile called ``name``; raises `UsageError` with the choices if there is none."""
    try:
        return PROFILES[name]
    except KeyError:
        raise UsageError(
            f"unknown normalisation profile '{name}'{did_you_mean(name, PROFILES)}"
        ) from None


def graphemes(text: str) -> tuple[str, ...]:
    """Cut NFC text into grapheme clusters: a base character with the marks that combine with it.

    A practical subset of UAX #29: combining marks (Mn, Me, Mc), variation selectors and
    zero-width joiners stay with the character before them.
    """
    if text.isascii() or max(text) < _FIRST_MARK:
        return tuple(text)
    clusters: list[str] = []
    for char in text:
        if clusters and (
            unicodedata.category(char) in ("Mn", "Me", "Mc")
            or clusters[-1].endswith("\u200d")
            or char == "\u200d"
        ):
            clusters[-1] += char
        else:
            clusters.append(char)
    return tuple(clusters)


@lru_cache(maxsize=65536)
def fold(token: str) -> str:
    """``token`` without case and accents (canonical decomposition, marks dropped, case-folded)."""
    base = "".join(c for c in unicodedata.normalize("NFD", token) if not unicodedata.combining(c))
    return (base or token).casefold()


def has_letter(text: str) -> bool:
    """Whether any character of ``text`` is a letter (any script)."""
    return any(char.isalpha() for char in text)


def lettered(texts: Sequence[str]) -> list[bool]:
    """Which of ``texts`` are judged where a few lines are all there is: those with a letter, all of
    them where none has one."""
    found = [has_letter(text) for text in texts]
    return found if any(found) else [True] * len(found)


def is_number(token: str) -> bool:
    """Whether a token is a digit or another sign of a number: no language model can know it."""
    return unicodedata.category(token[0]).startswith("N")


def is_run(token: str, repeats: int) -> bool:
    """Whether a token that stands ``repeats`` times in a row makes a run, whose length
    no language model can know: a sign from the second time on ("....", "--"), a letter from the
    third ("elle" is spelling, "xxx" is not), a space never."""
    return repeats >= (3 if token.isalpha() else 2) and not token.isspace()
