"""Pasted lines: texts that no page holds, in the columns of lines that were read.

A recognizer hears the language only in the few lines that it is trained on. Here it also gets texts
without images: their characters are cut out of what its own CNN has just made of real lines (by the
best CTC walk of the known text) and pasted one after the other, in pieces of a few characters, by
one hand as far as that hand has them. All that stands above the CNN (encoder, LSTM, decoder) learns
from them, for a fraction of the time of an image. Pasting recorded units is how speech was long
synthesised (Hunt & Black, 1996); training on texts with inputs made up for them is text injection
(Chen et al., "MAESTRO", 2022; Sainath et al., "JOIST", 2023).

`Texts` draws what is to be written, `Bank` keeps the lines and writes, `Paster` makes batches.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ensemble_htr.decode.forced import viterbi
from ensemble_htr.errors import InputError
from ensemble_htr.lm.corpus import read_texts, wrap
from ensemble_htr.text import Profile
from ensemble_htr.train.recipe import PastedText, PasteOptions

__all__ = ["Bank", "Paster", "Texts"]

Columns = NDArray[np.float16]  # (frames, channels)
LONGEST = 5  # characters of a piece
GOES_ON = 0.65  # probability that a piece takes one more
ENOUGH = 40  # lines in the bank before anything is pasted
BY_A_HAND = 24  # lines at most that the pieces of one batch come from
READ = 1.0  # nats: CTC loss per character of a line that can be cut into its characters
STEP = 16  # frames: batches of few widths, so that the kernels made for them are kept
CANDIDATES = 4  # texts drawn for each that is written: those of like length go together


class Texts:
    """The lines of text that may be pasted, as codes (``i + 1`` for ``alphabet[i]``).

    Raises `InputError` where a source has none that the alphabet can write.
    """

    def __init__(
        self, texts: Sequence[PastedText], root: Path, form: Profile, alphabet: Sequence[str]
    ) -> None:
        code = {token: i + 1 for i, token in enumerate(alphabet)}
        self.sources: list[list[NDArray[np.int16]]] = []
        digest = hashlib.sha256()
        for source in texts:
            lines = [x for text in read_texts([root / source.path], form) for x in text.lines]
            lines = wrap(lines, source.wrap) if source.wrap else list(dict.fromkeys(lines))
            coded = [
                np.array([code[t] for t in line], np.int16)
                for line in lines
                if all(t in code for t in line)
            ]
            if not coded:
                raise InputError(f"{root / source.path}: no line that this alphabet can write")
            self.sources.append(coded)
            digest.update(b"".join(line.tobytes() + b"\n" for line in coded))
        self.sha256 = digest.hexdigest()  # of all codes: which texts a model has seen
        shares = np.array([source.share for source in texts])
        self.shares = shares / shares.sum()

    def draw(self, count: int, rng: np.random.Generator) -> list[NDArray[np.int16]]:
        """``count`` texts of like length, the shortest first."""
        which = rng.choice(len(self.sources), CANDIDATES * count, p=self.shares)
        found = [self.sources[w][int(rng.integers(len(self.sources[w])))] for w in which]
        found.sort(key=len)
        first = int(rng.integers(len(found) - count + 1))
        return found[first : first + count]


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that was read: character ``i`` stands in the frames ``cuts[i] : cuts[i + 1]``."""

    hand: str
    codes: tuple[int, ...]
    cuts: tuple[int, ...]
    columns: Columns

    def piece(self, first: int, last: int) -> Columns:
        return self.columns[self.cuts[first] : self.cuts[last]]


class Bank:
    """The last lines that were read, at most ``keep``, and what can be written with them."""

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.lines: deque[_Line] = deque()
        self.added = 0  # in all; the number of lines[0] is added - len(lines)
        self._places: dict[int, deque[tuple[int, int]]] = {}  # of a character: line, place

    def __len__(self) -> int:
        return len(self.lines)

    def add(
        self, hand: str, columns: Columns, logp: NDArray[np.float64], codes: Sequence[int]
    ) -> None:
        """Keep a line of which the text is known. ``columns (T, channels)`` are the CNN's, ``logp
        (T, 1 + V)`` the CTC head's answer to it. A text that does not fit is not kept."""
        doubled = sum(a == b for a, b in itertools.pairwise(codes))
        if not codes or len(codes) + doubled > len(logp):
            return
        (stays,) = viterbi(logp, [list(codes)])
        between = [(a.last + b.first + 1) // 2 for a, b in itertools.pairwise(stays)]
        self._keep(_Line(hand, tuple(codes), (0, *between, len(columns)), columns))

    def _keep(self, line: _Line) -> None:
        if len(self.lines) == self.keep:
            self.lines.popleft()
        for place, code in enumerate(line.codes):
            self._places.setdefault(code, deque(maxlen=self.keep)).append((self.added, place))
        self.lines.append(line)
        self.added += 1

    def write(
        self, texts: Sequence[NDArray[np.int16]], room: int, rng: np.random.Generator
    ) -> list[tuple[tuple[int, ...], Columns]]:
        """The texts with their columns, one hand's where it has the characters, until ``room``
        frames (padded) are full; a text with a character that the bank lacks is left out."""
        if len(self.lines) < min(ENOUGH, self.keep):
            return []
        hand = self.lines[int(rng.integers(len(self.lines)))].hand
        mine = [line for line in self.lines if line.hand == hand][-BY_A_HAND:]
        pieces: dict[tuple[int, ...], list[tuple[_Line, int]]] = {}
        for line in mine:
            for size in range(1, LONGEST + 1):
                for at in range(len(line.codes) - size + 1):
                    pieces.setdefault(line.codes[at : at + size], []).append((line, at))
        written: list[tuple[tuple[int, ...], Columns]] = []
        widest = 0
        for text in texts:
            codes = tuple(text.tolist())
            columns = self._write(codes, pieces, rng)
            if columns is None:
                continue
            widest = max(widest, len(columns))
            if written and widest * (len(written) + 1) > room:
                break
            written.append((codes, columns))
        return written

    def _write(
        self,
        codes: tuple[int, ...],
        pieces: dict[tuple[int, ...], list[tuple[_Line, int]]],
        rng: np.random.Generator,
    ) -> Columns | None:
        taken, at = [], 0
        while at < len(codes):
            wish = min(LONGEST, int(rng.geometric(1 - GOES_ON)), len(codes) - at)
            for size in range(wish, 0, -1):
                if found := pieces.get(codes[at : at + size]):
                    line, first = found[int(rng.integers(len(found)))]
                    break
            else:
                size, elsewhere = 1, self._anywhere(codes[at], rng)
                if elsewhere is None:
                    return None
                line, first = elsewhere
            taken.append(line.piece(first, first + size))
            at += size
        return np.concatenate(taken)

    def _anywhere(self, code: int, rng: np.random.Generator) -> tuple[_Line, int] | None:
        """A place of a character in any line of the bank."""
        places, oldest = self._places.get(code, deque()), self.added - len(self.lines)
        while places and places[0][0] < oldest:
            places.popleft()
        if not places:
            return None
        number, place = places[int(rng.integers(len(places)))]
        return self.lines[number - oldest], place

    # ---- between two runs ----------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, for a checkpoint."""
        columns = [torch.from_numpy(line.columns) for line in self.lines]
        return {
            "hands": [line.hand for line in self.lines],
            "codes": [list(line.codes) for line in self.lines],
            "cuts": [list(line.cuts) for line in self.lines],
            "columns": torch.cat(columns) if columns else torch.zeros(0, 0),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Become the bank whose `state` it was."""
        self.lines.clear()
        self._places.clear()
        self.added = 0
        columns, start = state["columns"].numpy(), 0
        for hand, codes, cuts in zip(state["hands"], state["codes"], state["cuts"], strict=True):
            stop = start + cuts[-1]
            self._keep(_Line(hand, tuple(codes), tuple(cuts), columns[start:stop]))
            start = stop


class Paster:
    """Batches of pasted lines beside batches of lines that are read."""

    def __init__(self, texts: Texts, bank: Bank, share: float) -> None:
        self.texts, self.bank, self.share = texts, bank, share

    @classmethod
    def of(
        cls, options: PasteOptions, root: Path, form: Profile, alphabet: Sequence[str]
    ) -> Paster | None:
        """As a recipe wants it, None where it names no texts; raises `InputError` like `Texts`."""
        if not options.texts:
            return None
        return cls(Texts(options.texts, root, form, alphabet), Bank(options.keep), options.share)

    def lines(
        self, columns: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        """Columns ``(B, channels, T)``, frames, targets and their lengths of pasted lines, with
        ``share`` of the frames that ``columns (B', channels, T')`` have; None while there are
        none."""
        count = max(1, round(self.share * columns.shape[0]))
        room = round(self.share * columns.shape[0] * columns.shape[2])
        written = self.bank.write(self.texts.draw(count, rng), room, rng)
        if not written:
            return None
        widest = math.ceil(max(len(found) for _, found in written) / STEP) * STEP
        batch = np.zeros((len(written), widest, columns.shape[1]), np.float16)
        for row, (_, found) in zip(batch, written, strict=True):
            row[: len(found)] = found
        inputs = torch.from_numpy(batch).to(columns.device, columns.dtype).transpose(1, 2)
        targets = torch.tensor([code for codes, _ in written for code in codes])
        frames, lengths = (torch.tensor([len(pair[i]) for pair in written]) for i in (1, 0))
        return inputs, frames, targets, lengths

    def learn(
        self, hands: Sequence[str], columns: Tensor, log_p: Tensor, each: Tensor, frames: Tensor,
        texts: Sequence[Tensor], step: int,
    ) -> None:  # fmt: skip
        """Keep every second line of those that the network reads well enough to be cut."""
        found = columns.detach().transpose(1, 2).half().cpu().numpy()
        said = log_p.detach().transpose(0, 1).double().cpu().numpy()
        good = (each.detach() < READ).tolist()
        for i in range(step % 2, len(hands), 2):
            if good[i]:
                n = int(frames[i])
                self.bank.add(hands[i], found[i, :n].copy(), said[i, :n], texts[i].tolist())
