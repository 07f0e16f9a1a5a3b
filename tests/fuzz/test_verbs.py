"""``combine`` and ``evaluate`` over broken files: an exit status of the contract, no surprise, and
whatever was written is whole."""

from __future__ import annotations

import io
import itertools
import json
import shutil
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.cli.main import main
from ensemble_htr.io.readings import load_records
from ensemble_htr.io.records import to_jsonl
from ensemble_htr.io.xml import parse_xml

from .conftest import ASKED, KINDS
from .mutate import broken
from .seeds import SEEDS, SUFFIXES

SECONDS = 10.0  # of the processor
PROFILE = settings(settings.get_profile("fuzz"), max_examples=ASKED // (20 * KINDS) or 10)
_COUNT = itertools.count()


def call(*words: object) -> tuple[int, str]:
    """Exit status and what was said."""
    talk, begun = io.StringIO(), time.process_time()
    with redirect_stderr(talk), redirect_stdout(io.TextIOWrapper(io.BytesIO())):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
    said = talk.getvalue()
    assert "Traceback" not in said and "unexpected" not in said, said
    assert time.process_time() - begun < SECONDS
    code = int(ended.value.code or 0)
    assert code in (0, 1, 2) and (code == 0 or "ensemble-htr: error: " in said), said
    return code, said


def whole(out: Path) -> None:
    for path in out.glob("*.xml"):
        parse_xml(path)
    for path in out.glob("*.jsonl"):
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            assert all(0 <= c["confidence"] <= 1 for c in (*row["words"], *row["chars"]))
            assert "".join(c["text"] for c in row["chars"]) == row["text"]


@pytest.mark.parametrize("kind", sorted(SEEDS))
def test_combine_and_evaluate(
    kind: str, tmp_path: Path, votes_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(votes_home))
    seed = tmp_path / f"seed{SUFFIXES[kind]}"
    seed.write_bytes(SEEDS[kind])
    (tmp_path / "rows").mkdir()
    rows = tmp_path / "rows" / "other.jsonl"
    rows.write_text(to_jsonl(load_records(seed)), encoding="utf-8")
    seed.unlink()
    formats = {"page": "page,hocr,tei", "alto": "alto,csv", "hocr": "hocr"}.get(kind, "jsonl")

    @PROFILE
    @given(broken(kind), st.booleans())
    def run(data: bytes, first: bool) -> None:
        place = tmp_path / f"in{next(_COUNT)}"
        place.mkdir()
        path, out = place / f"seed{SUFFIXES[kind]}", place / "out"
        path.write_bytes(data)
        engines = [f"--engine=a={path}", f"--engine=b={rows}"][:: 1 if first else -1]
        options = ["--no-lm", "--jobs", 1, "-o", out, "--format", formats]
        code, said = call("combine", *engines, *options)
        assert code == 0 or path.name in said or "engine" in said, said
        whole(out)
        call("evaluate", *((path, rows) if first else (rows, path)))
        shutil.rmtree(place)

    run()
