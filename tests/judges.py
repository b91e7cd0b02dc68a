"""Programs that say whether a file is sound."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from audiomem_sql.audio.flac.false_headers import false_headers


def check_ffmpeg(path: Path) -> None:
    """ffmpeg decodes the audio of ``path`` and has nothing to say.

    But where samples of the last frame look like the header of a frame: of those docs/SPECTRUM.md says that
    ffmpeg ends with an error. A stored byte decides that, one small file in some 6,000 has them.
    """
    done = subprocess.run(
        [
            "ffmpeg",
            "-v",
            "warning",
            "-xerror",
            "-err_detect",
            "crccheck",
            "-i",
            path,
            "-map",
            "0:a",
            "-f",
            "null",
            "-",
        ],
        capture_output=True,
        check=False,
    )
    if done.returncode or done.stderr:
        assert _ends_in_a_false_header(path), done.stderr.decode(errors="replace")


def _ends_in_a_false_header(path: Path) -> bool:
    """STREAMINFO says how many bytes a frame has; the last one's own header, at its front, is left out."""
    raw = path.read_bytes()
    frame = int.from_bytes(raw[15:18], "big")
    return bool(false_headers(np.frombuffer(raw[20 - frame :], np.uint8)[None])[0])
