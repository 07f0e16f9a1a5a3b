"""What the doctor finds: one fact a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "State"]

State = Literal["ok", "note", "broken"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact. ``broken`` is something needed that does not work, ``note`` something that may be
    wanted; both come with a line of ``advice``."""

    group: str
    name: str
    value: str
    state: State = "ok"
    advice: str = ""

    def __post_init__(self) -> None:
        if (self.state == "ok") != (not self.advice):
            raise ValueError(f"{self.name}: advice goes with what is not ok, and always")
