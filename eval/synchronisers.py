"""Two synchronisers of the literature and two libraries, behind one door: readings in, text out.

    python eval/synchronisers.py NAME < JOB > RESULT

runs one of them with whatever interpreter has its library. JOB is JSON: a list of lines, each a
list of `[text, confidences]`; RESULT `{"texts", "slots", "seconds"}`: what was read of each line,
the alternatives of each slot where there are slots ("" = nothing), processor seconds. `isri` and
`calamari` are written from papers (Rice, Kanai & Nartker 1993-96, the tests of the Information
Science Research Institute; Wick, Reul & Puppe 2018, Calamari), not from their authors' code.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

Reading = tuple[str, Sequence[float]]
Slots = list[list[str]]


def common(texts: Sequence[str]) -> tuple[str, list[int]]:
    """The longest substring of all texts, the first in the shortest text, and where it begins."""
    shortest = min(texts, key=len)
    for size in range(len(shortest), 0, -1):
        for start in range(len(shortest) - size + 1):
            piece = shortest[start : start + size]
            places = [text.find(piece) for text in texts]
            if min(places) >= 0:
                return piece, places
    return "", []


def regions(readings: Sequence[Reading]) -> list[str | list[Reading]]:
    """What all readings share, in order, and between that what each has instead."""
    texts = [text for text, _ in readings]
    if not any(texts):
        return []
    piece, places = common(texts)
    if not piece:
        return [list(readings)]
    before = [(t[:p], c[:p]) for (t, c), p in zip(readings, places, strict=True)]
    after = [
        (t[p + len(piece) :], c[p + len(piece) :])
        for (t, c), p in zip(readings, places, strict=True)
    ]
    return [*regions(before), piece, *regions(after)]


def isri(readings: Sequence[Reading]) -> tuple[str, Slots | None]:
    """Plurality between the strings of each region, the engine given first wins ties; character by
    character where the strings are as long."""
    written = []
    for region in regions(readings):
        if isinstance(region, str):
            written.append(region)
            continue
        texts = [text for text, _ in region]
        if len({len(text) for text in texts}) == 1:
            written += [Counter(column).most_common(1)[0][0] for column in zip(*texts, strict=True)]
        else:
            written.append(Counter(texts).most_common(1)[0][0])
    return "".join(written), None


def calamari(readings: Sequence[Reading]) -> tuple[str, Slots | None]:
    """The highest sum of confidences: of each character where the strings of a region are as long,
    else of the whole string (the mean of its characters; of the whole line for an empty one)."""
    written = []
    whole = [sum(sure) / max(1, len(sure)) for _, sure in readings]
    for region in regions(readings):
        if isinstance(region, str):
            written.append(region)
            continue
        if len({len(text) for text, _ in region}) == 1:
            columns = [
                [(text[i], sure[i]) for text, sure in region] for i in range(len(region[0][0]))
            ]
        else:
            columns = [
                [
                    (text, sum(sure) / len(sure) if sure else line)
                    for (text, sure), line in zip(region, whole, strict=True)
                ]
            ]
        for column in columns:
            sums: dict[str, float] = defaultdict(float)
            for token, confidence in column:
                sums[token] += confidence
            written.append(max(sums, key=lambda token: sums[token]))
    return "".join(written), None


def pyspoa() -> Callable[[Sequence[Reading]], tuple[str, Slots]]:
    """Partial order alignment (Lee, Grasso & Sharlow 2002), global, linear gaps; a majority votes
    in each column, the first of equals wins."""
    import spoa

    letters = [chr(c) for c in range(33, 127) if chr(c) not in "-"]

    def read(readings: Sequence[Reading]) -> tuple[str, Slots]:
        known = sorted({c for text, _ in readings for c in text})
        code = dict(zip(known, letters, strict=False))
        back = {new: old for old, new in code.items()} | {"-": ""}
        given = ["".join(code[c] for c in text) for text, _ in readings]
        _, rows = spoa.poa(given, algorithm=1, genmsa=True, m=1, n=-1, g=-1, e=-1, q=-1, c=-1)
        columns = [[back[c] for c in column] for column in zip(*rows, strict=True)]
        best = [Counter(column).most_common(1)[0][0] for column in columns]
        return "".join(best), [sorted(set(column)) for column in columns]

    return read


def crowdkit() -> Callable[[Sequence[Reading]], tuple[str, Slots]]:
    """ROVER of crowd-kit, characters as words."""
    import pandas as pd
    from crowdkit.aggregation import ROVER

    class Watched(ROVER):
        """Keeps the slots, which the library does not give out."""

        slots: Slots = []  # noqa: RUF012

        def _get_result(self, edges: Any) -> Any:
            Watched.slots = [list(slot) for slot in edges]
            return super()._get_result(edges)

    rover = Watched(tokenizer=list, detokenizer="".join)

    def read(readings: Sequence[Reading]) -> tuple[str, Slots]:
        rows = [("line", f"e{k}", text) for k, (text, _) in enumerate(readings)]
        frame = pd.DataFrame(rows, columns=["task", "worker", "text"])
        return str(rover.fit_predict(frame)["line"]), Watched.slots

    return read


def main() -> None:
    """Run the system named on the command line."""
    makers: dict[str, Callable[[], Callable[..., Any]]] = {
        "isri": lambda: isri, "calamari": lambda: calamari, "pyspoa": pyspoa, "crowdkit": crowdkit,
    }  # fmt: skip
    read = makers[sys.argv[1]]()
    lines = json.load(sys.stdin)
    start = time.process_time()
    found = [read(readings) for readings in lines]
    seconds = time.process_time() - start
    slots = [each for _, each in found] if found and found[0][1] is not None else None
    json.dump({"texts": [t for t, _ in found], "slots": slots, "seconds": seconds}, sys.stdout)


if __name__ == "__main__":
    main()
