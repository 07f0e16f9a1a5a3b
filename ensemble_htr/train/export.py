"""``models export``: CTC networks for ONNX Runtime, checked to read as they do in torch."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ensemble_htr import __version__
from ensemble_htr.assets import CARD, LOCK, resolve, sha256_file, write_lock
from ensemble_htr.decode import BeamDecoder, BeamOptions, ctc_score
from ensemble_htr.errors import AssetError, MissingDependencyError, OutputError, UsageError
from ensemble_htr.files import atomic_write, temporary_name
from ensemble_htr.pipeline import PipelineOptions
from ensemble_htr.plan import Plan, weights_in
from ensemble_htr.recognizers.attention import load_recognizer
from ensemble_htr.recognizers.onnx import FORMAT, NETWORK, WORDS, OnnxRecognizer
from ensemble_htr.recognizers.transformer import Transformer, positions
from ensemble_htr.recognizers.weights import load_weights
from ensemble_htr.train.folder import CONFIG, parts_of, write_ensemble

__all__ = ["DIFFERENCE", "export"]

DIFFERENCE = 1e-4  # of log posteriors, nats: more is refused
OPSET = 17
PREPROCESSING = (
    "a line straightened along its baseline, gray, 0 = paper and 255 = ink, scaled to `height` "
    "rows and `stretch` times the width that its aspect ratio asks for, padded with 0 on the right "
    "to a multiple of 16 columns, divided by 255"
)
LONGEST = 4096  # frames of 8 px: what an exported encoder has positions for
_SHAPES = ((1, 64), (3, 256), (2, 640))  # lines and columns that both are asked about


class _Spoken(nn.Module):
    """The network with its log posteriors as its one answer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return torch.log_softmax(self.network(images)[0], -1)


class _Encoded(nn.Module):
    """The encoder of a transformer with the log posteriors of its CTC head as its one answer;
    ``frames (B,)`` of each line are not padding."""

    def __init__(self, network: Transformer) -> None:
        super().__init__()
        self.network = network
        network.places = positions(LONGEST, network.config.width)

    def forward(self, images: Tensor, frames: Tensor) -> Tensor:
        return torch.log_softmax(self.network(images, frames)[0], -1)


def export(name: str, out: Path, say: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Export the recognizer or the ensemble ``name`` (shelf or folder) into the folder ``out``; for
    one recognizer ``out`` may be ``FOLDER/FILE.onnx``, whose folder is meant. Returns the networks.
    All of it is written, or nothing.

    A transformer is exported without its decoder, whose search is half of it. Raises `UsageError`
    for ensembles that hear such a decoder, `AssetError` if the exported network does not
    read as its original within `DIFFERENCE`, `OutputError` where ``out`` cannot be written or holds
    one of the files already, `MissingDependencyError` without onnx.
    """
    source = resolve("models", name)
    ensemble = (source / "model.toml").is_file()
    if out.suffix == ".onnx":
        if ensemble or out.name != NETWORK:
            what = "an ensemble is exported into a folder" if ensemble else f"is called {NETWORK}"
            raise UsageError(f"{out}: {what}; give -o FOLDER")
        out = out.parent
    if not ensemble:
        with _new(out, (NETWORK, WORDS, LOCK)) as folder:
            _export_network(weights_in(source), folder, say)
        return [out / NETWORK]
    plan = Plan.of(PipelineOptions(model=name))
    writing = [n for n, path in plan.weights.items() if _writes(path)]
    if writing and plan.config.search.decoder:
        raise UsageError(
            f"{name}: {writing[0]} writes with a decoder of its own, which is not exported; export "
            "an ensemble that hears its encoder alone ([search] decoder = false), as default does"
        )
    parts = parts_of(plan)
    card = f"# {out.name}\n\nThe ensemble `{name}` for ONNX Runtime.\n"
    with _new(out, (*parts.files(), CONFIG, CARD, LOCK)) as folder:
        made = {n: _export_network(path, folder / "models" / n, say)
                for n, path in parts.weights.items()}  # fmt: skip
        write_ensemble(replace(parts, weights=made), folder, card, {"exported": name})
    return [out / path.relative_to(folder) for path in made.values()]


@contextmanager
def _new(out: Path, files: Iterable[str]) -> Iterator[Path]:
    """A folder to be filled with ``files`` (no others at its top), which then come into ``out``,
    the lock last; after an error there is nothing of them.

    Raises `OutputError` where one of them is there, or ``out`` cannot be written.
    """
    tops = sorted({name.partition("/")[0] for name in files}, key=lambda top: top == LOCK)
    folder = (out if out.is_dir() else out.parent) / temporary_name()
    try:
        held = next((top for top in tops if os.path.lexists(out / top)), None)
        if held or (out.exists() and not out.is_dir()):
            place = out / (held or "")
            raise OutputError(f"{place}: is there already; give another folder with -o")
        folder.mkdir(parents=True)
        yield folder
        if not out.exists():
            folder.rename(out)
        for top in tops if folder.exists() else ():
            (folder / top).rename(out / top)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _export_network(weights: Path, out: Path, say: Callable[[str], None]) -> Path:
    """Write ``model.onnx``, ``model.json`` and a lock of the network in ``weights`` to ``out``, new
    or empty; what an error leaves there is the caller's to remove."""
    if weights.suffix == ".onnx":
        raise UsageError(f"{weights}: is exported already")
    described = load_weights(weights)
    try:
        import onnx  # noqa: F401 - torch asks for it
    except ImportError:
        raise MissingDependencyError("onnx", "train", "exporting networks") from None
    silent = BeamDecoder(replace(BeamOptions(), alpha=0.0), None, "export")
    net = load_recognizer("export", weights, decoder=silent, scorer=ctc_score, precision="fp32",
                          writes=False)  # fmt: skip
    bare = net.network.cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    module = (_Encoded(bare) if isinstance(bare, Transformer) else _Spoken(bare)).eval()
    atomic_write(out / NETWORK, _converted(module, net.height, net.stride))
    words: dict[str, Any] = {
        "format": FORMAT,
        "architecture": described.architecture,
        "profile": net.profile,
        "alphabet": list(net.alphabet),
        "height": net.height,
        "stretch": net.stretch,
        "pixels_per_frame": net.stride,
        "preprocessing": PREPROCESSING,
        "onnx": {
            "sha256": sha256_file(out / NETWORK),
            "bytes": (out / NETWORK).stat().st_size,
            "opset": OPSET,
        },
        "source": {"sha256": sha256_file(weights)},
        "tools": {"torch": torch.__version__, "ensemble-htr": __version__},
    }
    atomic_write(out / WORDS, _json(words))
    found = OnnxRecognizer("export", out / NETWORK, decoder=silent, scorer=ctc_score)
    words["difference"] = _difference(module, found, net.height, net.stride)
    if not words["difference"] <= DIFFERENCE:
        raise AssetError(
            f"{weights}: exported, it differs from its original by {words['difference']:.1e} (at "
            f"most {DIFFERENCE:.0e} is allowed); try another release of torch or onnxruntime"
        )
    atomic_write(out / WORDS, _json(words))
    write_lock(out, [NETWORK, WORDS], data={"weights": words["source"]["sha256"]})
    say(f"{weights}: {words['onnx']['bytes'] / 1e6:.1f} MB, log posteriors within "
        f"{words['difference']:.1e} of torch's")  # fmt: skip
    return out / NETWORK


def _writes(weights: Path) -> bool:
    return weights.suffix != ".onnx" and load_weights(weights).architecture == "transformer"


def _json(words: dict[str, Any]) -> str:
    return json.dumps(words, indent=1, ensure_ascii=False) + "\n"


def _asked(module: nn.Module, images: Tensor, stride: int) -> tuple[Tensor, ...]:
    """The module's arguments; lines get narrower from the first on."""
    if not isinstance(module, _Encoded):
        return (images,)
    whole = images.shape[3] // stride
    return images, torch.tensor([max(1, whole - 5 * i) for i in range(len(images))])


def _converted(module: nn.Module, height: int, stride: int) -> bytes:
    """The module as ONNX, any number of lines of any width; torch's talk is kept from the user."""
    talk = io.StringIO()
    axes = {"images": {0: "lines", 3: "columns"}, "logp": {0: "lines", 1: "steps"}}
    arguments = _asked(module, torch.zeros(2, 1, height, 64), stride)
    names = ["images", "frames"][: len(arguments)]
    if len(names) > 1:
        axes["frames"] = {0: "lines"}
    with (
        tempfile.TemporaryDirectory() as place,
        warnings.catch_warnings(),
        redirect_stdout(talk),
        redirect_stderr(talk),
    ):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            arguments,
            Path(place) / NETWORK,
            input_names=names,
            output_names=["logp"],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,  # ten times as quick, and the LSTM's answer keeps a free width
        )
        return (Path(place) / NETWORK).read_bytes()


@torch.inference_mode()
def _difference(module: nn.Module, found: OnnxRecognizer, height: int, stride: int) -> float:
    """The greatest difference of log posteriors over images of grain, in nats."""
    rng = np.random.default_rng(1)
    worst = 0.0
    for lines, columns in _SHAPES:
        batch = rng.integers(0, 256, (lines, 1, height, columns), np.uint8)
        asked = _asked(module, torch.from_numpy(batch).float() / 255.0, stride)
        wanted = module(*asked).numpy()
        frames = asked[1].tolist() if len(asked) > 1 else [wanted.shape[1]] * lines
        pairs = zip(found._impressions(batch, frames), wanted, strict=True)
        worst = max(worst, *(float(np.abs(logp - w[: len(logp)]).max()) for (logp, _), w in pairs))
    return worst
