"""Engines to stand for other people's: what our recognizers read alone, as files would have it.

Greedy readings with a confidence of each character and a 5-best list, no language model. Kept under
``eval/readings/foreign-ENSEMBLE-SPLIT.jsonl.xz``; `foreign.py` judges them.
"""

from __future__ import annotations

import math
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from stored import FOLDER, store

from ensemble_htr.assets import resolve
from ensemble_htr.decode import BeamDecoder, BeamOptions, ctc_score, greedy
from ensemble_htr.errors import InputError
from ensemble_htr.io.records import Record
from ensemble_htr.io.sources import find_pages
from ensemble_htr.pipeline import Pipeline, PipelineOptions
from ensemble_htr.recognizers.attention import load_recognizer
from ensemble_htr.recognizers.ctc import CtcRecognizer
from ensemble_htr.recognizers.frames import FrameReader
from ensemble_htr.recognizers.weights import Weights, load_weights
from ensemble_htr.text import has_letter, profile
from ensemble_htr.train.readings import scorable_lines
from ensemble_htr.types import Posteriors

EPOCHS = (19, 20, 21, 22)  # of the run that the shelf's crnn comes from
UNLIKE = {  # weak nets of like quality: what the shelf held at these commits, half trained
    "crnn": "fac86bd",  # 16 epochs
    "gated": "ced375b",  # 25
    "transformer": "342b8b0",  # 11; its CTC head
}
_BEST = 5  # readings in an n-best list


def stored_at(ensemble: str, split: str) -> Path:
    return FOLDER / f"foreign-{ensemble.replace(' ', '-')}-{split}.jsonl.xz"


def epoch_name(epoch: int) -> str:
    return f"epoch{epoch}"


def read_split(
    data: Path, ensemble: str, engines: Sequence[FrameReader], split: str, letters: bool
) -> None:
    """Let every engine read the scorable lines of a split (or those with a letter) and keep it."""
    from tqdm import tqdm

    pipeline = Pipeline.load(PipelineOptions("default", lm=False))
    form = profile("fr-archive")
    decoder = BeamDecoder(BeamOptions(alpha=0.0, n_best=_BEST), None, "beam")
    truth: list[Record] = []
    rows: dict[str, list[Record]] = {engine.name: [] for engine in engines}
    for source in tqdm(find_pages([data / "fr19" / split]), split, unit="page", mininterval=30):
        page, cut = pipeline.cut(source.read())
        lines = [
            x for x in scorable_lines(cut) if not letters or has_letter(form.apply(x.text or ""))
        ]
        keys = [(x.id, page.stem, page.doc) for x in lines]
        truth += [
            Record(key[0], form.apply(x.text or ""), *key[1:])
            for x, key in zip(lines, keys, strict=True)
        ]
        for engine in engines:
            heard = engine.posteriors(lines)
            rows[engine.name] += [
                _record(key, p, decoder) for key, p in zip(keys, heard, strict=True)
            ]
    store(stored_at(ensemble, split), truth, rows)


def _record(key: tuple[str, str, str], posteriors: Posteriors, decoder: BeamDecoder) -> Record:
    own = greedy(posteriors)
    assert own.logprobs is not None
    sure = tuple(math.exp(p) for p in own.logprobs)
    best = [(h.text, h.score) for h in decoder.decode(posteriors, _BEST)]
    scored = tuple((text, score) for text, score in best if score is not None)
    return Record(key[0], own.text, key[1], key[2], sure, scored)


def unlike() -> list[FrameReader]:
    """The recognizers of `UNLIKE`, out of the history of this repository.

    Raises `InputError` where the history does not reach back to them.
    """
    found: list[FrameReader] = []
    silent = BeamDecoder(replace(BeamOptions(), alpha=0.0), None, "silent")
    for name, commit in UNLIKE.items():
        blob = f"{commit}:models/{name}/model.safetensors"
        command = ["git", "-C", str(Path(__file__).parent), "show", blob]
        shown = subprocess.run(command, capture_output=True)
        if shown.returncode:
            raise InputError(f"{blob}: not in this clone; fetch its whole history")
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            path.write_bytes(shown.stdout)
            found.append(load_recognizer(name, path, decoder=silent, scorer=ctc_score))
    return found


def states(folder: Path) -> list[FrameReader]:
    """The averaged weights of a run at the end of `EPOCHS`, as the shelf's crnn is built.

    Raises `InputError` where a checkpoint is not there.
    """
    import torch

    path = resolve("models", "crnn") / "model.safetensors"
    shelf = load_weights(path)
    found: list[FrameReader] = []
    silent = BeamDecoder(replace(BeamOptions(), alpha=0.0), None, "silent")
    for epoch in EPOCHS:
        file = folder / f"epoch{epoch}.pt"
        if not file.is_file():
            raise InputError(f"{file}: not found; wanted the checkpoints of a training run there")
        state = torch.load(file, map_location="cpu", weights_only=True)
        tensors = {k: v for k, v in state["average"].items() if not k.startswith("shortcut.")}
        weights = Weights(
            shelf.architecture, shelf.network, tuple(state["alphabet"]), shelf.profile,
            {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}, {},
        )  # fmt: skip
        name = epoch_name(epoch)
        found.append(CtcRecognizer(name, file, decoder=silent, scorer=ctc_score, weights=weights))
    return found
