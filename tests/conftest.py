"""Shared by the tests of whole runs: a tiny untrained ensemble on a shelf of its own, and small
pages cut from the bundled sample."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from ensemble_htr.assets import resolve, write_lock

settings.register_profile("patient", deadline=None)  # a busy machine is not a wrong answer
settings.load_profile("patient")

_STEM: dict[str, Any] = {"stem": 4, "channels": (4, 8, 8), "blocks": (1, 1, 1)}
_SIZES: dict[str, dict[str, Any]] = {
    "crnn": {"stem": 4, "channels": (4, 8, 8), "blocks": (1, 1, 1), "hidden": 8, "layers": 1},
    "crnn-b": {
        "stem": 4,
        "channels": (4, 4, 8),
        "blocks": (1, 1, 1),
        "hidden": 8,
        "layers": 1,
        "stretch": 1.25,
    },
    "writer": {**_STEM, "width": 16, "heads": 2, "inner": 16, "encoder": 1, "decoder": 1},
}


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Shells start background jobs with Ctrl-C ignored, and children inherit that: without this,
    tests of interruption would wait for nothing there."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A value of $ENSEMBLE_HTR_HOME whose models are real but untrained and very small; the shelf
    has ``tiny``, an ensemble of two recognizers, and ``trio`` with one that writes as well."""
    torch = pytest.importorskip("torch", reason="reading images needs the extra [recognize]")
    pytest.importorskip("cv2")
    from ensemble_htr.recognizers.weights import save_weights
    from ensemble_htr.recognizers.zoo import build_network

    home = tmp_path_factory.mktemp("home")
    alphabet = tuple(" abcdefghijklmnopqrstuvwxyz")
    for seed, (name, sizes) in enumerate(_SIZES.items()):
        torch.manual_seed(seed)
        architecture = "transformer" if name == "writer" else "crnn"
        network = build_network(architecture, sizes, len(alphabet))
        folder = home / "models" / name
        folder.mkdir(parents=True)
        save_weights(
            folder / "model.safetensors", network.state_dict(), architecture=architecture,
            network=sizes, alphabet=alphabet, profile="fr-archive", facts={},
        )  # fmt: skip
        write_lock(folder, ["model.safetensors"])
    _ensemble(home, "tiny", ["crnn", "crnn-b"])
    _ensemble(home, "trio", list(_SIZES))
    return home


@pytest.fixture(scope="session")
def votes_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny_home`, but without any weights: all that ``combine`` needs."""
    home = tmp_path_factory.mktemp("votes")
    _ensemble(home, "default", ["crnn"])
    return home


def _ensemble(home: Path, name: str, recognizers: list[str]) -> None:
    folder = home / "models" / name
    folder.mkdir(parents=True)
    listed = ", ".join(f'"{each}"' for each in recognizers)
    (folder / "model.toml").write_text(f'recognizers = [{listed}]\nlm = "fr-archive"\n')
    write_lock(folder, ["model.toml"])


@pytest.fixture
def small_page(tmp_path: Path) -> Callable[..., Path]:
    """``small_page(stem, first, texts)``: a PAGE file with two of the sample's lines and its image,
    in ``tmp_path/pages``; ``texts`` are what an engine read there."""

    def make(stem: str, first: int = 1, texts: tuple[str, ...] = (), folder: str = "pages") -> Path:
        sample = resolve("sample", "letter", check=False)
        lines = re.findall(r"<TextLine .*?</TextLine>", (sample / "page.xml").read_text(), re.S)
        lines = lines[first : first + 2]
        for i, text in enumerate(texts):
            equiv = f"<TextEquiv><Unicode>{text}</Unicode></TextEquiv></TextLine>"
            lines[i] = lines[i].replace("</TextLine>", equiv)
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        (place / f"{stem}.jpg").write_bytes((sample / "page.jpg").read_bytes())
        path = place / f"{stem}.xml"
        path.write_text(
            '<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">'
            f'<Page imageFilename="{stem}.jpg" imageWidth="1500" imageHeight="1290">'
            '<TextRegion id="r"><Coords points="0,0 1500,0 1500,1290"/>'
            f"{''.join(lines)}</TextRegion></Page></PcGts>"
        )
        return path

    return make


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line in this process: exit status, stdout, stderr."""
    from ensemble_htr.cli.main import main

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        shown = capfd.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run
