"""Which of the words that were read are right, and what the others cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["WordRead", "words_read"]


@dataclass(frozen=True, slots=True)
class WordRead:
    """A word of a reading: its tokens ``start`` to ``stop`` (exclusive), the ``edits`` between it
    and what stands there, and whether it is right: no edit in it, none at the blanks beside it."""

    start: int
    stop: int
    edits: int
    right: bool


def words_read(pairs: Sequence[tuple[str, str]]) -> list[WordRead]:
    """Cut an aligned line (pairs as `alignment_pairs` gives them) at the blanks that were read.

    A blank that should not be there, or stands where something else does, is an edit of the word
    before it, and neither neighbour is right. All edits of a line that has a word are counted.
    """
    found: list[WordRead] = []
    start = place = edits = 0
    fault_before = False
    for wanted, read in (*pairs, (" ", " ")):
        if not (read and read.isspace()):
            edits += wanted != read
            place += bool(read)
            continue
        fault = wanted != read
        if place > start:
            right = not (edits or fault or fault_before)
            found.append(WordRead(start, place, edits + fault, right))
            edits = 0
        elif found:
            last = found[-1]
            found[-1] = WordRead(last.start, last.stop, last.edits + edits + fault, False)
            edits = 0
        else:
            edits += fault
        place += 1
        start, fault_before = place, fault
    return found
