"""The face of the room: what the rooms above import, and what that brings in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from faces import circle, imports_into

import audiomem_sql.audio as audio


def test_the_rooms_above_import_the_face_alone() -> None:
    assert {(module, target) for module, target in imports_into("audio") if target != "audio"} == set()


def test_everything_at_the_face_is_there() -> None:
    assert audio.__all__ == sorted(set(audio.__all__), key=lambda name: (not name.isupper(), name))
    assert all(getattr(audio, name) is not None for name in audio.__all__)


@pytest.mark.parametrize("room", ["bytes", "machine", "protection", "audio", "sound"])
def test_no_modules_import_each_other(room: str) -> None:
    assert circle(room) == []


def test_a_table_of_samples_needs_no_scipy(tmp_path: Path) -> None:
    """Nor libsndfile: both are imported by the first file that needs them."""
    code = (
        "import sys, audiomem_sql as am\n"
        "with am.Table.create(sys.argv[1], ['n INTEGER'], {'profile': 'mobile'}) as table:\n"
        "    table.append([{'n': n} for n in range(100)])\n"
        "with am.open(sys.argv[1]) as table:\n"
        "    assert table.to_arrow().num_rows == 100\n"
        "print(sorted({'scipy', 'soundfile', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "t.flac"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
