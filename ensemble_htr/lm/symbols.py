"""How tokens are written in an ARPA file: reversibly, with no white space inside a symbol.

ARPA separates symbols by blanks and reserves ``<s>``, ``</s>`` and ``<unk>``. A blank is written
``▁`` (U+2581); a token that holds ``▁``, a backslash or other white space is escaped with a
backslash, as is a token that looks like a reserved word. ``hidden(visible(t)) == t`` for every t.
"""

from __future__ import annotations

import re

__all__ = ["BOS", "EOS", "SPECIALS", "UNK", "hidden", "visible"]

UNK, BOS, EOS = "<unk>", "<s>", "</s>"
SPECIALS = (UNK, BOS, EOS)  # ids 0, 1, 2 of every model
BLANK = "▁"
_EMPTY = "\\u00000000;"  # the empty token; U+0000 itself is written with a single 0

_RESERVED = re.compile(r"</?(s|unk)>", re.IGNORECASE)
_AWKWARD = re.compile(r"[\s\x00-\x1f\x7f-\x9f\\▁]")
_ESCAPE = re.compile(r"\\(?:u([0-9a-f]+);|(.))|▁", re.DOTALL)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if char == " ":
        return BLANK
    return "\\" + char if char in "\\▁" else f"\\u{ord(char):x};"


def visible(token: str) -> str:
    """The symbol that stands for ``token`` in an ARPA file (never empty, no white space)."""
    if token == "":
        return _EMPTY
    if _RESERVED.fullmatch(token):
        return "\\" + token
    return _AWKWARD.sub(_escape, token)


def _unescape(match: re.Match[str]) -> str:
    if match[0] == BLANK:
        return " "
    if match[2] is not None:
        return str(match[2])
    return chr(int(match[1], 16)) if int(match[1], 16) <= 0x10FFFF else match[0]


def hidden(symbol: str) -> str:
    """The token that ``symbol`` stands for: the inverse of `visible`."""
    if symbol == _EMPTY:
        return ""
    return _ESCAPE.sub(_unescape, symbol)
