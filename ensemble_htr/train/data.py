"""Training data: pages to rectified line crops, one packed file that travels, sampled batches."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ensemble_htr.config import to_mapping
from ensemble_htr.errors import InputError
from ensemble_htr.files import atomic_write
from ensemble_htr.io.images import load_page
from ensemble_htr.io.sources import find_pages
from ensemble_htr.layout.preprocess import Preprocess, cut_lines, cut_whole
from ensemble_htr.layout.rectify import RectifyOptions
from ensemble_htr.text import has_letter, profile
from ensemble_htr.train.recipe import DataOptions

__all__ = [
    "Sample",
    "alphabet_of",
    "batches",
    "data_hash",
    "load_folder",
    "read_pack",
    "weights",
    "write_pack",
]

_MAGIC = b"EHTRPACK1\n"
_FAINT = 0.5  # WebP crops are stored at half contrast: full ink on bare paper costs twice the bytes
_FIELDS = ("id", "doc", "hand", "source", "text")  # of a line, in the index of a pack


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One line to train on: its crop ``uint8 (height, W)``, normalised text and origin."""

    id: str
    doc: str
    hand: str
    source: str  # the folder it came from, as the recipe names it
    text: str
    image: NDArray[np.uint8]


def load_folder(
    root: Path, source: str, options: DataOptions, steps: Preprocess | None = None
) -> list[Sample]:
    """All lines with a text in the pages, or images of lines, of ``root / source``, cut with the
    preprocessing ``steps`` and normalised; lines with an unread word are left out. Hands come from
    ``manifest.csv`` (columns ``xml``, ``hand``), else the document. Progress goes to stderr;
    raises `InputError` for what cannot be read."""
    form = profile(options.profile)
    folder, shape = root / source, RectifyOptions(height=options.height)
    hands = _hands(folder / "manifest.csv")
    samples = []
    pages = find_pages([folder])
    for origin in tqdm(pages, desc=f"cutting {source}", unit="page", file=sys.stderr):
        page, pixels = load_page(origin.read())
        if page.format == "image":  # of one line, its text beside it
            how = steps or Preprocess()
            cut = [cut_whole(pixels, x.id, how, options.height) for x in page.lines]
        else:
            cut = cut_lines(pixels, page.lines, steps or Preprocess(), shape)
        for line, marked in zip(cut, page.lines, strict=True):
            raw = marked.text or ""
            text = form.apply(raw)
            if text and form.scorable(raw) and line.image is not None:
                hand = hands.get(origin.path.name, page.doc)
                samples.append(
                    Sample(f"{page.stem}/{line.id}", page.doc, hand, source, text, line.image)
                )
    return samples


def _hands(manifest: Path) -> dict[str, str]:
    """XML file name -> hand; nothing where there is no manifest or it names no hands."""
    if not manifest.is_file():
        return {}
    try:
        with manifest.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{manifest}: cannot read the manifest: {error}") from None
    return {row["xml"]: row["hand"] for row in rows if row.get("xml") and row.get("hand")}


def write_pack(
    path: Path, samples: Iterable[Sample], quality: int, steps: Preprocess | None = None
) -> int:
    """Write crops as one file: magic, length of the JSON index, index, images.

    ``quality`` 1-100 is WebP's (stored at half contrast); 0 stores lossless PNG. ``steps`` are the
    preprocessing steps that the lines had, and are noted. Returns the size in bytes.
    """
    index, blobs, note = [], [], _note(steps)
    for sample in samples:
        blob = _encode(sample.image, quality)
        index.append({f: getattr(sample, f) for f in _FIELDS} | {"bytes": len(blob)} | note)
        blobs.append(blob)
    head = json.dumps(index, ensure_ascii=False).encode()
    data = _MAGIC + len(head).to_bytes(8, "little") + head + b"".join(blobs)
    atomic_write(path, data)
    return len(data)


def read_pack(path: Path, steps: Preprocess | None = None) -> list[Sample]:
    """Read what `write_pack` wrote; raises `InputError` for anything else, and for lines that had
    other preprocessing ``steps``."""
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
            if not isinstance(row, dict) or not all(isinstance(row[f], str) for f in _FIELDS):
                raise ValueError("its index is not one of lines")
            if row.get("steps", {}) != _note(steps).get("steps", {}):
                raise InputError(
                    f"{path}: these lines were packed with other [preprocess] steps than the "
                    "recipe's; pack them again with --pack"
                )
            size = int(row["bytes"])
            samples.append(Sample(**{f: row[f] for f in _FIELDS}, image=_decode(data, at, size)))
            at += size
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{path}: the packed lines are damaged ({reason}); make the file again with --pack"
        ) from None
    if at != len(data):
        raise InputError(f"{path}: the packed lines are damaged ({len(data) - at} bytes too many)")
    return samples


def _note(steps: Preprocess | None) -> dict[str, dict[str, object]]:
    """What a pack's index says of the steps: how they differ from all off, nothing where they do
    not (as in packs older than the steps)."""
    off, mine = to_mapping(Preprocess()), to_mapping(steps or Preprocess())
    changed = {name: value for name, value in mine.items() if value != off[name]}
    return {"steps": changed} if changed else {}


def _encode(image: NDArray[np.uint8], quality: int) -> bytes:
    if not quality:
        return cv2.imencode(".png", image)[1].tobytes()
    faint = cv2.convertScaleAbs(image, alpha=_FAINT)
    return cv2.imencode(".webp", faint, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()


def _decode(data: bytes, at: int, size: int) -> NDArray[np.uint8]:
    """The image in ``data[at : at + size]``; raises `ValueError`."""
    if size < 1 or at + size > len(data):
        raise ValueError("it ends too early")
    image = cv2.imdecode(np.frombuffer(data, np.uint8, size, at), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise ValueError("an image does not decode")
    if data.startswith(b"RIFF", at):
        image = cv2.convertScaleAbs(image, alpha=1 / _FAINT)
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
    """Sampling probability of each line ``(len(samples),)``: hands tempered by a power, sources by
    their shares. Raises `InputError` where nothing is left to be sampled."""
    per_hand = Counter((s.source, s.hand) for s in samples)
    raw = np.array([per_hand[s.source, s.hand] ** (options.hand_power - 1) for s in samples])
    raw *= [1.0 if has_letter(s.text) else options.letterless for s in samples]
    names = np.array([s.source for s in samples])
    shares = {source.path: source.share for source in options.train}
    for name in set(names):
        mine = names == name
        total = raw[mine].sum()
        raw[mine] *= shares.get(str(name), 1.0) / total if total > 0 else 0.0
    if not raw.sum() > 0:
        raise InputError("no line may be sampled: see 'share' and 'letterless' of the recipe")
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
