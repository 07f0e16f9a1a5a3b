"""Training data: pages to rectified line crops, one packed file that travels, sampled batches."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ensemble_htr.errors import InputError
from ensemble_htr.io.files import atomic_write
from ensemble_htr.io.images import load_page
from ensemble_htr.io.sources import find_pages
from ensemble_htr.layout.rectify import RectifyOptions, rectify_page
from ensemble_htr.text import has_letter, profile
from ensemble_htr.train.recipe import DataOptions

__all__ = ["Sample", "alphabet_of", "batches", "data_hash", "load_folder", "read_pack", "write_pack"]

_MAGIC = b"EHTRPACK1\n"


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One line to train on: its crop ``uint8 (height, W)``, normalised text and origin."""

    id: str
    doc: str
    hand: str
    source: str  # the folder it came from, as the recipe names it
    text: str
    image: NDArray[np.uint8]


def load_folder(root: Path, source: str, options: DataOptions, say: Any = None) -> list[Sample]:
    """All lines with a text in the pages of ``root / source``, cut and normalised; lines with an
    unread word are left out. Hands come from ``manifest.csv`` (column ``hand``), else the document."""
    form = profile(options.profile)
    folder = root / source
    hands = _hands(folder / "manifest.csv")
    samples = []
    pages = find_pages([folder])
    for number, origin in enumerate(pages, 1):
        page, pixels = load_page(origin.read())
        for line in rectify_page(pixels, page.lines, RectifyOptions(height=options.height)):
            raw = line.text or ""
            text = form.apply(raw)
            if text and form.scorable(raw) and line.image is not None:
                hand = hands.get(origin.path.name, page.doc)
                samples.append(
                    Sample(f"{page.stem}/{line.id}", page.doc, hand, source, text, line.image)
                )
        if say is not None:
            say(f"\r{source}: page {number}/{len(pages)}, {len(samples)} lines")
    return samples


def _hands(manifest: Path) -> dict[str, str]:
    """XML file name -> hand."""
    import csv

    if not manifest.is_file():
        return {}
    with manifest.open(encoding="utf-8", newline="") as file:
        return {row["xml"]: row["hand"] for row in csv.DictReader(file) if row.get("hand")}


def write_pack(path: Path, samples: Iterable[Sample], quality: int) -> int:
    """Write crops as one file: magic, length of the JSON index, index, WebP images.

    ``quality`` 1-100 is WebP's; 0 stores lossless PNG. Returns the size in bytes.
    """
    index, blobs = [], []
    for sample in samples:
        kind, flags = (".webp", [cv2.IMWRITE_WEBP_QUALITY, quality]) if quality else (".png", [])
        blob = cv2.imencode(kind, sample.image, flags)[1].tobytes()
        row = {k: v for k, v in ((f, getattr(sample, f)) for f in ("id", "doc", "hand", "source", "text"))}
        index.append({**row, "bytes": len(blob)})
        blobs.append(blob)
    head = json.dumps(index, ensure_ascii=False).encode()
    data = _MAGIC + len(head).to_bytes(8, "little") + head + b"".join(blobs)
    atomic_write(path, data)
    return len(data)


def read_pack(path: Path) -> list[Sample]:
    """Read what `write_pack` wrote; raises `InputError` for anything else."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot read the packed lines: {error.strerror}") from None
    if not data.startswith(_MAGIC):
        raise InputError(f"{path}: not a file of packed lines (make one with 'train --pack')")
    try:
        start = len(_MAGIC) + 8
        at = start + int.from_bytes(data[len(_MAGIC) : start], "little")
        samples = []
        for row in json.loads(data[start:at]):
            size = int(row.pop("bytes"))
            blob = np.frombuffer(data, np.uint8, size, at)
            at += size
            samples.append(Sample(**row, image=_decode(blob)))
        return samples
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: the packed lines are damaged ({error})") from None


def _decode(blob: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = cv2.imdecode(blob, cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise ValueError("an image does not decode")
    return np.asarray(image, np.uint8)


def alphabet_of(samples: Iterable[Sample], options: DataOptions) -> tuple[str, ...]:
    """The characters seen at least ``options.rarest`` times, in code point order."""
    form = profile(options.profile)
    counts = Counter(token for sample in samples for token in form.tokens(sample.text))
    return tuple(sorted(t for t, n in counts.items() if n >= options.rarest))


def data_hash(samples: Iterable[Sample]) -> str:
    """sha256 over ids and texts: which lines a model was trained on."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(f"{sample.id}\t{sample.text}\n".encode())
    return digest.hexdigest()


def weights(samples: Sequence[Sample], options: DataOptions) -> NDArray[np.float64]:
    """Sampling probability of each line: hands tempered by a power, sources by their shares."""
    per_hand = Counter((s.source, s.hand) for s in samples)
    raw = np.array([per_hand[s.source, s.hand] ** (options.hand_power - 1) for s in samples])
    raw *= [1.0 if has_letter(s.text) else options.letterless for s in samples]
    names = np.array([s.source for s in samples])
    shares = {source.path: source.share for source in options.train}
    for name in set(names):
        mine = names == name
        raw[mine] *= shares.get(str(name), 1.0) / raw[mine].sum()
    return np.asarray(raw / raw.sum())


def batches(
    samples: Sequence[Sample],
    chance: NDArray[np.float64],
    count: int,
    batch_width: int,
    rng: np.random.Generator,
) -> Iterator[NDArray[np.int64]]:
    """``count`` lines sampled without replacement (as far as they last) in width-bucketed batches
    of about ``batch_width`` padded pixels, in random order."""
    picked: list[NDArray[np.int64]] = []
    while count > 0:
        size = min(count, int((chance > 0).sum()))
        picked.append(rng.choice(len(samples), size, replace=False, p=chance))
        count -= size
    order = np.concatenate(picked)
    widths = np.array([samples[i].image.shape[1] for i in order])
    jitter = widths * np.exp(rng.normal(0, 0.08, len(widths)))
    order, widths = order[np.argsort(jitter)], widths[np.argsort(jitter)]
    groups, start = [], 0
    for stop in range(1, len(order) + 1):
        if stop == len(order) or widths[start : stop + 1].max() * (stop + 1 - start) > batch_width:
            groups.append(order[start:stop])
            start = stop
    for k in rng.permutation(len(groups)):
        yield groups[k]


def describe(options: Any) -> dict[str, Any]:
    return asdict(options)
