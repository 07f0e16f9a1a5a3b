"""How much is fuzzed: a little and always the same in the ordinary run, ``ENSEMBLE_HTR_FUZZ``
inputs in all, new ones every time, in the nightly one (``make fuzz``)."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

KINDS = 6
ASKED = int(os.environ.get("ENSEMBLE_HTR_FUZZ", "0"))

settings.register_profile(
    "fuzz",
    max_examples=ASKED // KINDS or 200,
    derandomize=not ASKED,
    deadline=None,  # the tests bound the processor's time themselves: the machine may be busy
    suppress_health_check=list(HealthCheck),
    database=None,
    print_blob=True,
)


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    """Notices of thousands of inputs would fill the memory."""
    logging.getLogger("ensemble_htr").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("ensemble_htr").setLevel(logging.NOTSET)
