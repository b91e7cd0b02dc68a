"""The face of the room, and what comes with it; that others enter by it is a test of the layout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import audiomem_sql.audio as audio


def test_everything_at_the_face_is_there() -> None:
    assert len(audio.__all__) == len(set(audio.__all__))
    assert all(getattr(audio, name) is not None for name in audio.__all__)


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
