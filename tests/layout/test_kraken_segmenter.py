"""kraken's segmenter by subprocess: here a small program stands for it and writes such a file."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cv2")

from ensemble_htr.errors import EnsembleError, UsageError  # noqa: E402
from ensemble_htr.layout import kraken_segmenter  # noqa: E402
from ensemble_htr.layout.kraken_segmenter import COMMAND_VARIABLE, KrakenSegmenter  # noqa: E402
from ensemble_htr.protocols import Segmenter  # noqa: E402

PAGE = np.full((200, 300), 255, np.uint8)
LINE = {
    "id": "_x",
    "baseline": [[10, 50], [280, 52]],
    "boundary": [[10, 30], [290, 31], [290, 60], [10, 61]],
    "tags": {"type": [{"type": "default"}]},
}

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-in is a script")


def program(folder: Path, body: str) -> Path:
    """A script that is started as kraken is: -i IN OUT segment -bl."""
    path = folder / "kraken"
    path.write_text(f"#!{sys.executable}\nimport json, sys, time\n{body}\n")
    path.chmod(0o755)
    return path


def answering(folder: Path, answer: Any) -> KrakenSegmenter:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    path = program(folder, f"open(sys.argv[3], 'w').write({text!r})")
    return KrakenSegmenter((str(path),))


def test_lines_come_in_krakens_order_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = (
        "assert sys.argv[1] == '-i' and sys.argv[4:] == ['segment', '-bl'], sys.argv\n"
        "assert open(sys.argv[2], 'rb').read(8) == b'\\x89PNG\\r\\n\\x1a\\n'\n"
    )
    other = {**LINE, "baseline": [[-5, 90], [999, 91]], "boundary": None}
    dot = {**LINE, "baseline": [[5, 5]]}
    answer = json.dumps({"type": "baselines", "lines": [other, dot, LINE]})
    path = program(tmp_path, f"{check}open(sys.argv[3], 'w').write({answer!r})")
    monkeypatch.setenv(COMMAND_VARIABLE, str(path))
    segmenter = kraken_segmenter.build()
    assert isinstance(segmenter, Segmenter)
    first, second = segmenter.segment(PAGE)
    assert (first.id, second.id) == ("line_1", "line_2")
    assert first.baseline == ((0.0, 90.0), (299.0, 91.0)) and first.polygon == ()
    assert second.baseline == ((10.0, 50.0), (280.0, 52.0)) and len(second.polygon) == 4


def test_how_kraken_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spaced = tmp_path / "my tools"
    spaced.mkdir()
    path = program(spaced, "")
    monkeypatch.setenv(COMMAND_VARIABLE, str(path))
    assert kraken_segmenter.build().command == (str(path),)
    monkeypatch.setenv(COMMAND_VARIABLE, f"env A=1 '{path}'")
    assert kraken_segmenter.build().command[1:] == ("A=1", str(path))
    monkeypatch.setenv(COMMAND_VARIABLE, sys.executable)
    assert kraken_segmenter.build().command[1] == "-c"
    monkeypatch.delenv(COMMAND_VARIABLE)
    monkeypatch.setenv("PATH", str(spaced))
    assert kraken_segmenter.build().command == (str(path),)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no program 'kraken' was found.*" + COMMAND_VARIABLE):
        kraken_segmenter.build()
    monkeypatch.setenv(COMMAND_VARIABLE, "/no/such/kraken")
    with pytest.raises(UsageError, match="'/no/such/kraken', which is no program"):
        kraken_segmenter.build()
    monkeypatch.setenv(COMMAND_VARIABLE, "kraken 'unclosed")
    with pytest.raises(UsageError, match="quotation"):
        kraken_segmenter.build()


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "[]",
        "{}",
        '{"lines": 3}',
        '{"lines": [3]}',
        '{"lines": [{"baseline": [[NaN, 1], [2, 3]]}]}',
        '{"lines": [{"baseline": [[1e999, 1], [2, 3]]}]}',
        '{"lines": [{"baseline": [[1, 2, 3], [2, 3]]}]}',
        '{"lines": [{"baseline": "ab"}]}',
        "[" * 100_000,
        "\udcff",
    ],
)
def test_an_answer_that_is_none(tmp_path: Path, answer: str) -> None:
    path = program(
        tmp_path, f"open(sys.argv[3], 'wb').write({answer.encode('utf-8', 'surrogateescape')!r})"
    )
    with pytest.raises(EnsembleError, match="no baseline segmentation"):
        KrakenSegmenter((str(path),)).segment(PAGE)


def test_a_page_without_lines(tmp_path: Path) -> None:
    assert answering(tmp_path, {"lines": []}).segment(PAGE) == ()


def test_failures_are_said_in_krakens_last_words(tmp_path: Path) -> None:
    path = program(tmp_path, "print('first'); sys.exit('RuntimeError: operator  nms is gone')")
    with pytest.raises(EnsembleError, match="status 1: RuntimeError: operator nms is gone$"):
        KrakenSegmenter((str(path),)).segment(PAGE)
    path = program(tmp_path, "print('done nothing')")
    with pytest.raises(EnsembleError, match="found no lines and does not say why: done nothing"):
        KrakenSegmenter((str(path),)).segment(PAGE)
    path.chmod(0o644)
    with pytest.raises(UsageError, match="cannot be started"):
        KrakenSegmenter((str(path),)).segment(PAGE)


def test_one_that_hangs_is_stopped_with_all_it_started(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    child = f"import time; time.sleep(2.5); open({str(alive)!r}, 'w')"
    path = program(
        tmp_path,
        f"import subprocess\nsubprocess.Popen([sys.executable, '-c', {child!r}])\ntime.sleep(60)",
    )
    begun = time.monotonic()
    with pytest.raises(EnsembleError, match="longer than 1 s"):
        KrakenSegmenter((str(path),), seconds=1.0).segment(PAGE)
    assert time.monotonic() - begun < 20
    time.sleep(2.5)
    assert not alive.exists()
