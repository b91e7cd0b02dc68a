"""Every table that a test leaves behind in its folder is verified, unless the test is marked ``damages``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from samples import verify


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "damages: the test damages files on purpose, so they are not verified")


@pytest.fixture(autouse=True)
def _verified(request: pytest.FixtureRequest) -> Iterator[None]:
    folder: Path | None = None
    of_audio = request.path.parent.name == "audio"  # those tests damage sound that holds no tables
    if "tmp_path" in request.fixturenames and not of_audio and not request.node.get_closest_marker("damages"):
        folder = request.getfixturevalue("tmp_path")
    yield
    if folder is not None:
        for path in sorted(folder.rglob("*.flac")):
            if path.is_file() and path.parent.suffix != ".d":
                verify(path)
