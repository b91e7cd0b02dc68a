"""Tables side by side, verified when the test ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from model import Twins


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    """A connection for pairs of tables. At the end all rows are compared, and every file is verified."""
    with Twins(tmp_path) as both:
        yield both
