"""Exported networks beside torch: lines per second of one core's time, posteriors only.

python eval/onnx_speed.py ../shared/data/fr19/val --pages 4
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click
import torch

from ensemble_htr.assets import resolve
from ensemble_htr.decode import BeamDecoder, BeamOptions, ctc_score
from ensemble_htr.io.images import load_page
from ensemble_htr.io.sources import find_pages
from ensemble_htr.layout.preprocess import Preprocess, cut_lines
from ensemble_htr.recognizers.ctc import CtcRecognizer
from ensemble_htr.recognizers.onnx import OnnxRecognizer
from ensemble_htr.train.export import export


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--pages", default=4, show_default=True)
def main(folder: Path, pages: int) -> None:
    """The best of three rounds over the lines of the first pages in FOLDER."""
    torch.set_num_threads(1)
    lines = []
    for source in find_pages([folder])[:pages]:
        page, pixels = load_page(source.read())
        lines += cut_lines(pixels, page.lines, Preprocess())
    parts = {"decoder": BeamDecoder(BeamOptions(alpha=0.0), None, "x"), "scorer": ctc_score}
    with tempfile.TemporaryDirectory() as place:
        for name in ("crnn", "gated"):
            (network,) = export(name, Path(place) / name, click.echo)
            weights = resolve("models", name) / "model.safetensors"
            rivals = {
                "torch": CtcRecognizer(name, weights, **parts),
                "torch fp32": CtcRecognizer(name, weights, precision="fp32", **parts),
                "onnx": OnnxRecognizer(name, network, **parts),
            }
            for called, net in rivals.items():
                net.posteriors(lines[:16])
                seconds = []
                for _ in range(3):
                    begun = time.process_time()
                    net.posteriors(lines)
                    seconds.append(time.process_time() - begun)
                rate = len(lines) / min(seconds)
                click.echo(f"{name}, {called}: {rate:.0f} lines/s ({len(lines)} lines)")


if __name__ == "__main__":
    main()
