"""Shared by the tests of io: official schemas where they are at hand, pictures, small pages."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lxml import etree
from PIL import Image

_PLACES = [
    Path(os.environ.get("ENSEMBLE_HTR_SCHEMAS", "schemas")),
    *(parent / "shared" / "schemas" for parent in Path(__file__).resolve().parents[2:4]),
]
_FILES = {"page": "page-2019-07-15.xsd", "alto": "alto-4-4.xsd"}


class _Local(etree.Resolver):
    """ALTO imports xlink.xsd from the network; take the copy beside it."""

    def resolve(self, url: str, public_id: str, context: Any) -> Any:
        here = _folder() / Path(url).name
        return self.resolve_filename(str(here), context) if here.exists() else None


@lru_cache
def _folder() -> Path:
    return next((p for p in _PLACES if (p / _FILES["page"]).exists()), Path("schemas"))


@lru_cache
def _schema(kind: str) -> Any:
    parser = etree.XMLParser()
    parser.resolvers.add(_Local())
    return etree.XMLSchema(etree.parse(str(_folder() / _FILES[kind]), parser))


def _assert_valid(data: bytes, kind: str) -> None:
    schema = _schema(kind)
    assert schema.validate(etree.fromstring(data)), str(schema.error_log)[:500]


@pytest.fixture
def assert_valid() -> Callable[[bytes, str], None]:
    """Validates PAGE or ALTO bytes; skips the test where the schemas are not at hand."""
    if not (_folder() / _FILES["page"]).exists():
        pytest.skip("the official schemas are not here")
    return _assert_valid


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., Path]:
    """Makes an image file: ``picture(name, width, height)``."""

    def make(name: str, width: int = 200, height: int = 100, **options: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        gray = np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))
        Image.fromarray(gray).save(path, **options)
        return path

    return make
