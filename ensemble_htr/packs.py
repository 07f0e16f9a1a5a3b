"""Language packs: all that a language brings to the ensemble, under one name.

A pack is a folder with ``pack.toml``: its characters, its normalisation profile, and the *names* of
a language model, one that reads from the end and a lexicon. These lie on the shelves, or in a small
shelf within the pack's folder (``lm/NAME``, ``lexicons/NAME``); a pack copies nothing. Text is kept
in logical order everywhere, the order in which it is read aloud (Unicode Standard, section 2.10);
``direction`` says how it is written on the page. Our recognizers read from left to right only, so a
pack of a script written from right to left serves to combine, evaluate and judge what others read.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ensemble_htr.assets import CARD, LOCK, resolve, write_lock
from ensemble_htr.config import load_toml
from ensemble_htr.decode import BeamOptions
from ensemble_htr.errors import OutputError, UsageError, printable
from ensemble_htr.files import atomic_write
from ensemble_htr.text import profile
from ensemble_htr.toml import toml_value

if TYPE_CHECKING:
    from ensemble_htr.lm.recipe import Recipe

__all__ = ["Pack", "Sources", "build_pack", "load_pack", "require_readable", "unwritable"]

PACK = "pack.toml"
WORK = ".building"
MOST = 20_000  # characters; the networks' last layers grow with them
Direction = Literal["ltr", "rtl"]


@dataclass(frozen=True, slots=True)
class Pack:
    """``pack.toml``. Empty names mean that the language has none.

    Raises `UsageError` for an unknown profile, and for an alphabet with an entry that is not one
    token of it, or stands twice, or with more than `MOST` entries.
    """

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
        form = profile(self.profile)
        if len(self.alphabet) > MOST:
            raise UsageError(
                f"alphabet: {len(self.alphabet):,} characters; wanted at most {MOST:,}, those that "
                "the language is written with"
            )
        for char, times in Counter(self.alphabet).items():
            shown = f"alphabet: '{printable(char, 20)}'"
            if form.cut(char) != (char,) or form.apply(char) not in (char, char.strip()):
                raise UsageError(f"{shown} is not one character of profile '{self.profile}'")
            if times > 1:
                raise UsageError(f"{shown} stands there {times} times; wanted each character once")


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
    """The folder and the content of the pack called ``name`` (or of a folder, or its ``pack.toml``,
    given by its path).

    Raises `UsageError` for an unknown name (with the choices) or another file, `AssetError` for a
    pack that is not what its lock says, `InputError` and `ConfigError` for a ``pack.toml`` that
    cannot be read.
    """
    file = Path(name).expanduser()
    if file.name == PACK and file.is_file():
        name = f"{file.parent}{os.sep}"  # a path, not a name
    folder = resolve("packs", name)
    return folder, load_toml(folder / PACK, Pack)


def require_readable(pack: Pack) -> None:
    """Raise `UsageError` for a language that our recognizers cannot read: their texts are in
    logical order, their frames run from left to right."""
    if pack.direction == "rtl":
        raise UsageError(
            f"'{pack.name}' is written from right to left, and our recognizers read from left to "
            "right only; what other engines read can be combined with it: `ensemble-htr combine "
            "--language` without --images"
        )


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

    The words of the texts are counted where no list of words is given. All is read before anything
    is built, and takes the place of an older pack when it is complete; where the build fails, that
    one stays as it was. Raises `InputError` for sources that cannot be read, `UsageError` for a bad
    name or profile, `OutputError` where ``out`` holds something else or cannot be written.
    """
    from ensemble_htr.lexicon.adapt import write_lists
    from ensemble_htr.lm.build import build, write_product
    from ensemble_htr.lm.corpus import read_texts

    if not name or set(name) & set("/\\ ") or name.startswith(".") or not name.isprintable():
        raise UsageError(f"'{name}' is no name for a pack: letters, digits and hyphens are")
    _require_place(out)
    form = profile(sources.profile)
    lines = [line for text in read_texts(sources.texts, form) for line in text.lines]
    forward, backward = (_recipe(name, sources, reverse) for reverse in (False, True))
    lists = _lists(sources, lines)
    pack = Pack(
        name,
        f"Built from {len(lines):,} lines of text",
        sources.profile,
        sources.direction,
        tuple(sorted({token for line in lines for token in line})),
        forward.name,
        backward.name,
        name if any(lists.values()) else "",
    )
    with _in_place_of(out) as folder:
        for recipe in (forward, backward):
            write_product(build(recipe, Path(), say), folder / "lm" / recipe.name, Path())
        write_lists(lists, folder / "lexicons" / name)
        for each, entries in lists.items():
            say(f"{each}: {len(entries):,} entries")
        atomic_write(folder / PACK, _toml(pack))
        atomic_write(folder / CARD, _card(pack, sources))
        files = (p for kind in ("lm", "lexicons") for p in (folder / kind).rglob("*"))
        built = (p.relative_to(folder).as_posix() for p in files if p.is_file())
        write_lock(folder, [PACK, *built])
    return pack


def _recipe(name: str, sources: Sources, backward: bool) -> Recipe:
    from ensemble_htr.lm.recipe import from_texts

    return from_texts(
        f"{name}-backward" if backward else name,
        sources.texts,
        {},
        order=sources.order,
        profile=sources.profile,
        backward=backward,
    )


def _lists(sources: Sources, lines: Sequence[tuple[str, ...]]) -> dict[str, dict[str, float]]:
    """The words of the language and the lists of names."""
    from ensemble_htr.lexicon.adapt import count_words
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
    return lists


def _require_place(out: Path) -> None:
    """Raise `OutputError` unless ``out`` is new, empty, or a pack's."""
    try:
        free = not out.exists() or (out / PACK).is_file()
        free = free or all(path.name == WORK for path in out.iterdir())
    except NotADirectoryError:
        free = False
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from None
    if not free:
        raise OutputError(f"{out}: is there and holds no {PACK}; choose another folder with -o")


@contextmanager
def _in_place_of(out: Path) -> Iterator[Path]:
    """A new folder in ``out``, whose parts take the place of those of ``out`` when the block ends,
    the lock last; where it raises, all is as before."""
    work, new = out / WORK, not out.exists()
    try:
        shutil.rmtree(work, ignore_errors=True)  # a killed build's
        (work / "old").mkdir(parents=True)
        yield work
        for part in (PACK, "lm", "lexicons", CARD, LOCK):
            if part != PACK and (out / part).exists():
                os.replace(out / part, work / "old" / part)
            if (work / part).exists():
                os.replace(work / part, out / part)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if new:
            with suppress(OSError):  # it holds the pack
                out.rmdir()


def _toml(pack: Pack) -> str:
    keys = ("name", "description", "profile", "direction", "alphabet", "lm", "backward", "lexicon")
    rows = (f"{key} = {toml_value(getattr(pack, key))}\n" for key in keys)
    return (
        "# A language pack: names of what lies on the shelves, here or in this folder.\n"
        + "".join(rows)
    )


def _card(pack: Pack, sources: Sources) -> str:
    made = ", ".join(path.name for path in (*sources.texts, *sources.words, *sources.names))
    more = "`ensemble-htr finetune --language` fits them to transcribed lines"
    if pack.direction == "rtl":
        more = "our recognizers do not read its script, it is for combining what others read"
    return f"""# Language pack {pack.name}

{pack.description}: {len(pack.alphabet)} characters, profile {pack.profile}, {pack.direction}.

- **Made of**: {made}.
- **Where it fails**: spellings and forms unlike those texts. The weights of its voices are those of
  the model it is used with; {more}.
- **Licence**: that of its texts and lists.
"""
