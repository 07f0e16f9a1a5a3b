"""Language packs: all that a language brings to the ensemble, under one name.

A pack is a folder with ``pack.toml``: its characters, its normalisation profile, and the *names* of
a language model, one that reads from the end and a lexicon. These lie on the shelves, or in a small
shelf within the pack's folder (``lm/NAME``, ``lexicons/NAME``); a pack copies nothing. Text is kept
in logical order everywhere, the order in which it is read aloud (Unicode Standard, section 2.10);
``direction`` only says how it is shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ensemble_htr.assets import resolve, write_lock
from ensemble_htr.config import load_toml
from ensemble_htr.decode import BeamOptions
from ensemble_htr.errors import OutputError, UsageError
from ensemble_htr.files import atomic_write
from ensemble_htr.text import profile

__all__ = ["Pack", "Sources", "build_pack", "load_pack", "unwritable"]

PACK = "pack.toml"
Direction = Literal["ltr", "rtl"]


@dataclass(frozen=True, slots=True)
class Pack:
    """``pack.toml``. Empty names mean that the language has none."""

    name: str
    description: str = ""
    profile: str = "plain"  # normalisation of its texts, and of `evaluate --language`
    direction: Direction = "ltr"
    alphabet: tuple[str, ...] = ()  # grapheme clusters in code point order
    lm: str = ""
    backward: str = ""
    lexicon: str = ""
    beam: BeamOptions | None = None  # weights of the language model, in place of the model's

    def __post_init__(self) -> None:
        profile(self.profile)


@dataclass(frozen=True, slots=True)
class Sources:
    """What a pack is built from: files and folders as ``lm build`` and ``lexicon build`` read."""

    texts: tuple[Path, ...]
    words: tuple[Path, ...] = ()  # lists of the language's words
    names: tuple[Path, ...] = ()  # lists of names, each a voice called as its file
    profile: str = "plain"
    direction: Direction = "ltr"
    order: int = 6


def load_pack(name: str) -> tuple[Path, Pack]:
    """The folder and the content of the pack called ``name`` (or of a folder given by its path).

    Raises `UsageError` for an unknown name (with the choices), `AssetError` for a pack that is not
    what its lock says, `ConfigError` for a wrong key.
    """
    folder = resolve("packs", name)
    return folder, load_toml(folder / PACK, Pack)


def unwritable(pack: Pack, name: str, alphabet: Sequence[str]) -> str:
    """What to say of the letters of a language that the recognizer ``name``, which writes
    ``alphabet``, has never learned ("" if there are none)."""
    lacking = [c for c in pack.alphabet if c not in alphabet and c.strip()]
    if not lacking:
        return ""
    shown = "".join(lacking[:20]) + ("..." if len(lacking) > 20 else "")
    return (
        f"{name} cannot write {len(lacking)} of the {len(pack.alphabet)} characters of "
        f"'{pack.name}' ({shown}): `ensemble-htr finetune --language` teaches them"
    )


def build_pack(
    name: str, sources: Sources, out: Path, say: Callable[[str], None] = lambda _: None
) -> Pack:
    """Build the language models, the lexicon and the pack that names them into the folder ``out``.

    The words of the texts are counted where no list of words is given. Raises `InputError` for
    sources that cannot be read, `UsageError` for a bad name or profile, `OutputError` where ``out``
    holds something else or cannot be written.
    """
    from ensemble_htr.lm.corpus import read_texts

    if not name or set(name) & set("/\\ \t\n") or name.startswith("."):
        raise UsageError(f"'{name}' is no name for a pack: letters, digits and hyphens are")
    if out.exists() and not (out / PACK).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out}: is there and holds no {PACK}; choose another folder with -o")
    form = profile(sources.profile)
    lines = [line for text in read_texts(sources.texts, form) for line in text.lines]
    alphabet = tuple(sorted({token for line in lines for token in line}))
    for backward in (False, True):
        _language_model(name, sources, out, backward, say)
    _lexicon(name, sources, lines, out, say)
    pack = Pack(
        name,
        f"Built from {len(lines):,} lines of text",
        sources.profile,
        sources.direction,
        alphabet,
        name,
        f"{name}-backward",
        name,
    )
    atomic_write(out / PACK, _toml(pack))
    atomic_write(out / "card.md", _card(pack, sources))
    files = (p for kind in ("lm", "lexicons") for p in (out / kind).rglob("*") if p.is_file())
    write_lock(out, [PACK, *(p.relative_to(out).as_posix() for p in files)])
    return pack


def _language_model(
    name: str, sources: Sources, out: Path, backward: bool, say: Callable[[str], None]
) -> None:
    from ensemble_htr.lm.build import build, write_product
    from ensemble_htr.lm.recipe import from_texts

    called = f"{name}-backward" if backward else name
    recipe = from_texts(
        called, sources.texts, {}, order=sources.order, profile=sources.profile, backward=backward
    )
    write_product(build(recipe, Path(), say), out / "lm" / called, Path())


def _lexicon(
    name: str,
    sources: Sources,
    lines: Sequence[tuple[str, ...]],
    out: Path,
    say: Callable[[str], None],
) -> None:
    from ensemble_htr.lexicon.adapt import count_words, write_lists
    from ensemble_htr.lexicon.lists import read_entries

    counted = count_words("".join(line) for line in lines)
    lists = {"words": {word: float(times) for word, times in counted.items()}}
    if sources.words:
        lists["words"] = {e: n for path in sources.words for e, n in read_entries(path).items()}
    for path in sources.names:
        stem = path.name.split(".")[0]
        if stem in lists:
            raise UsageError(f"{path}: two lists are called '{stem}'; rename one of them")
        lists[stem] = read_entries(path)
    write_lists(lists, out / "lexicons" / name)
    for each, entries in lists.items():
        say(f"{each}: {len(entries):,} entries")


def _toml(pack: Pack) -> str:
    """JSON's spelling of strings and lists is TOML's."""
    keys = ("name", "description", "profile", "direction", "alphabet", "lm", "backward", "lexicon")
    rows = (f"{k} = {json.dumps(getattr(pack, k), ensure_ascii=False)}\n" for k in keys)
    return (
        "# A language pack: names of what lies on the shelves, here or in this folder.\n"
        + "".join(rows)
    )


def _card(pack: Pack, sources: Sources) -> str:
    made = ", ".join(path.name for path in (*sources.texts, *sources.words, *sources.names))
    return f"""# Language pack {pack.name}

{pack.description}: {len(pack.alphabet)} characters, profile {pack.profile}, {pack.direction}.

- **Made of**: {made}.
- **Where it fails**: spellings and forms unlike those texts. The weights of its voices are those of
  the model it is used with; `ensemble-htr finetune --language` fits them to transcribed lines.
- **Licence**: that of its texts and lists.
"""
