"""``audiomem play``: listen to a table."""

from __future__ import annotations

from typing import Annotated, Any

import typer

#: Players and what makes them play one file and end, quietly.
PLAYERS = {
    "ffplay": ("-nodisp", "-autoexit", "-loglevel", "error"),
    "mpv": ("--no-video", "--really-quiet"),
    "play": ("-q",),
    "afplay": (),
    "pw-play": (),
    "paplay": (),
}


def play(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    gain: Annotated[
        float, typer.Option(help="dB. A table is noise, so less than 0.", max=0.0, min=-90.0)
    ] = -20.0,
    seconds: Annotated[float, typer.Option(help="How long.", min=0.1)] = 10.0,
) -> int:
    """Play a table with a player that is installed, quietly: it is noise."""
    import os
    import shutil
    import subprocess
    import tempfile

    from audiomem_sql.errors import StorageError, UnsupportedError
    from audiomem_sql.shards import is_sharded, not_on_shards

    if is_sharded(file):
        raise not_on_shards("is many files", file, f"Play one of them: {file.rstrip('/')}/shard-0000.flac")
    player = next((name for name in PLAYERS if shutil.which(name)), None)
    if player is None:
        raise UnsupportedError(
            f"no player was found (looked for {', '.join(PLAYERS)})",
            remedy="Install one: apt install ffmpeg, or brew install mpv. "
            "Any program that plays FLAC will do.",
        )
    import soundfile

    try:
        with soundfile.SoundFile(_opened(file)) as sound:
            part = sound.read(int(seconds * sound.samplerate)) * 10 ** (gain / 20)
            rate = sound.samplerate
    except (RuntimeError, OSError) as fault:
        raise StorageError(f"cannot be played: {fault}", file=file, remedy="Check the path.") from fault
    with tempfile.TemporaryDirectory() as folder:
        quiet = os.path.join(folder, "quiet.wav")
        soundfile.write(quiet, part, rate)
        done = subprocess.run(
            [player, *PLAYERS[player], quiet], check=False, stderr=subprocess.PIPE, errors="replace"
        )
    said = [line.strip() for line in done.stderr.splitlines() if line.strip() and folder not in line]
    if done.returncode or (player == "ffplay" and said):  # which ends with 0 even where there is no device
        why = said[-1] if said else f"exit code {done.returncode}"
        raise UnsupportedError(
            f"{player} cannot play here ({why})",
            remedy="Check the sound device, or open the file in another player.",
        )
    return 0


def _opened(file: str) -> Any:
    """What soundfile reads: a path, or what is elsewhere as a file object."""
    from audiomem_sql.machine.urls import is_playlist, is_url
    from audiomem_sql.remote import RemoteFile
    from audiomem_sql.remote.streamed_file import StreamedFile

    if is_playlist(file):
        return StreamedFile(file).open_stream(0)
    return RemoteFile(file).open_stream(0) if is_url(file) else file
