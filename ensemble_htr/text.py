"""Normalisation profiles: the one declared convention for training, LM text and scoring.

A profile is printed beside every figure. ``fr-archive`` is the house convention for French
archives (see the data pack's traps): NFC, apostrophes folded, whitespace collapsed, ``^`` kept,
``¥`` (signature) and ``|`` (table rule) dropped, struck text kept, ``XXX`` = unread word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from ensemble_htr.errors import UsageError, did_you_mean

__all__ = ["PROFILES", "Profile", "graphemes", "has_letter", "is_number", "is_run", "profile"]

_APOSTROPHES = str.maketrans(dict.fromkeys("‘’‛ʼ′´`", "'"))
_SPACE = re.compile(r"\s+")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_FIRST_MARK = "\u0300"  # no character below combines with another
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Profile:
    """A named normalisation: ``apply`` is total, idempotent and returns NFC.

    ``unread`` marks a word nobody could read: lines that hold it are neither trained on nor scored.
    """

    name: str
    description: str
    apply: Callable[[str], str]
    unread: str | None = None

    def tokens(self, text: str) -> tuple[str, ...]:
        """Normalise ``text`` and cut it into tokens (grapheme clusters)."""
        return graphemes(self.apply(text))

    def scorable(self, text: str) -> bool:
        """Whether a reference text may be scored or trained on."""
        return self.unread is None or self.unread not in text


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFC", _CONTROL.sub("", _INVISIBLE.sub("", text)))
    return _SPACE.sub(" ", text).strip()


def _fr_archive(text: str) -> str:
    return _plain(_plain(text).translate(_APOSTROPHES).replace("¥", "").replace("|", ""))


def _fr_reading(text: str) -> str:
    return _plain(re.sub(r"<[^<>]*>|>[^<>]*<", "", _fr_archive(text)).replace("^", ""))


PROFILES: dict[str, Profile] = {
    p.name: p
    for p in (
        Profile(
            "fr-archive",
            "NFC; apostrophes to '; whitespace collapsed; ^ kept; ¥ and | dropped; "
            "struck text kept; lines with XXX not scored",
            _fr_archive,
            unread="XXX",
        ),
        Profile(
            "fr-reading",
            "as fr-archive, but struck words (<...>, >...<) and ^ are dropped",
            _fr_reading,
            unread="XXX",
        ),
        Profile("plain", "NFC; invisible characters dropped; whitespace collapsed", _plain),
    )
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


def has_letter(text: str) -> bool:
    """Whether any character of ``text`` is a letter (any script)."""
    return any(char.isalpha() for char in text)


def is_number(token: str) -> bool:
    """Whether a token is a digit or another sign of a number: no language model can know it."""
    return unicodedata.category(token[0]).startswith("N")


def is_run(token: str, repeats: int) -> bool:
    """Whether a token that stands ``repeats`` times in a row makes a run, whose length
    no language model can know: a sign from the second time on ("....", "--"), a letter from the
    third ("elle" is spelling, "xxx" is not), a space never."""
    return repeats >= (3 if token.isalpha() else 2) and not token.isspace()
