"""What the README shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_call_from_python(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    assert len(code.splitlines()) <= 12
    exec(compile(code, "README.md", "exec"), {})
    line, *words = capsys.readouterr().out.splitlines()
    text, sure = line.rsplit(" ", 1)
    assert text == "demeurant à Paris rue de la Paix" and 0 < float(sure) <= 1
    assert [word.split(" ")[0] for word in words] == text.split()
