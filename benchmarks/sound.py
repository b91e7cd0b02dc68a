"""What a modulation costs, and what tables outlive.

``python -m benchmarks.sound [--rows 2000] [--skip-speed | --skip-processes]`` prints Markdown. It needs the
programs flac, ffmpeg and sox. Speed is that of payload for a second of processor time, the best of several
runs that take turns with a bare cosine transform of as many samples, so that a busy machine shows in both.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import soundfile
from scipy import fft

from audiomem_sql.audio import (
    PLANS,
    PROFILES,
    ROBUSTNESS,
    Mode,
    Spectrum,
    spectrum_of,
    spectrum_profile,
    unpacked,
)
from audiomem_sql.audio.spectrum.transform import DCT
from audiomem_sql.errors import AudioMemError
from audiomem_sql.storage.pages.writer import PAGES_AT_ONCE
from audiomem_sql.table.table import Table
from benchmarks.__main__ import rows_of

PAGES, RUNS = PAGES_AT_ONCE, 5
Process = Callable[[Path, Path], None]
S24 = ("-c:a", "flac", "-sample_fmt", "s32", "-bits_per_raw_sample", "24")


def speeds() -> None:
    """Density and speed of every profile and plan."""
    print(
        "| profile | plan | robustness | page bytes | payload per FLAC byte "
        "| write MB/s | read MB/s | bare DCT MB/s |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, base in PROFILES.items():
        for plan in PLANS:
            for robustness in ROBUSTNESS:
                if (plan, robustness) == ("flat", "lossy"):
                    continue
                mode = Mode.of(plan, robustness)
                profile = spectrum_profile(base, mode)
                one = spectrum_of(profile, mode)
                shape = one.shape
                megabytes, times = shape.page_size * (PAGES // shape.frames) / 1e6, measured(one)
                density = shape.page_size / (shape.sound_size + 16 * shape.frames)
                print(
                    f"| {name} | {plan} | {robustness} | {shape.page_size:,} | {density:.3f} | "
                    + " | ".join(f"{megabytes / seconds:.0f}" for seconds in times)
                    + " |"
                )


def measured(one: Spectrum) -> tuple[float, float, float]:
    """Seconds to write some pages, to read them, and of as many bare transforms."""
    shape = one.shape
    pages = np.random.default_rng(1).integers(
        0, 256, (PAGES // shape.frames, shape.page_size), dtype=np.uint8
    )
    sound = one.modulate(pages)
    blocks = unpacked(sound, shape.profile, shape.precision).reshape(-1, DCT)
    runs = [
        (
            once(lambda: one.modulate(pages)),
            once(lambda: one.demodulate(sound)),
            once(lambda: fft.dct(blocks, type=2, norm="ortho", axis=-1)),
        )
        for _ in range(RUNS)
    ]
    write, read, bare = (min(times) for times in zip(*runs, strict=True))
    return write, read, bare


def once(call: Callable[[], object]) -> float:
    """Seconds of processor time that a call takes."""
    start = time.process_time()
    call()
    return time.process_time() - start


def run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


def ffmpeg(*arguments: object) -> None:
    run("ffmpeg", "-v", "error", "-y", *arguments)


def sox(*how: str) -> Process:
    return lambda source, heard: run("sox", source, heard, *how)


def by_file(ending: str, *codec: str) -> Process:
    """Encoded by ffmpeg to a file of another kind, and back."""

    def process(source: Path, heard: Path) -> None:
        between = heard.with_suffix(ending)
        ffmpeg("-i", source, *codec, between)
        ffmpeg("-i", between, *S24, heard)

    return process


def resampled_by_sox(source: Path, heard: Path) -> None:
    between = heard.with_suffix(".wav")
    run("sox", source, between, "rate", "44100")
    run("sox", between, heard, "rate", str(soundfile.info(source).samplerate))


def resampled_by_ffmpeg(source: Path, heard: Path) -> None:
    between = heard.with_suffix(".wav")
    ffmpeg("-i", source, "-ar", "44100", "-c:a", "pcm_s24le", between)
    ffmpeg("-i", between, "-ar", str(soundfile.info(source).samplerate), *S24, heard)


PROCESSES: dict[str, Process] = {
    "WAV and back": by_file(".wav", "-c:a", "pcm_s24le"),
    "ALAC and back": by_file(".m4a", "-c:a", "alac", "-sample_fmt", "s32p"),
    "WavPack and back": by_file(".wv", "-c:a", "wavpack"),
    "gain −12 dB": sox("vol", "-12dB"),
    "gain −1 dB": sox("vol", "-1dB"),
    "gain +3 dB": sox("vol", "3dB"),
    "truncated to 16 bit": lambda made, heard: run("sox", "-D", made, "-b", "16", heard),
    "−12 dB, dithered to 16 bit": lambda made, heard: run(
        "sox", made, "-b", "16", heard, "vol", "-12dB", "dither"
    ),
    "polarity inverted": sox("vol", "-1"),
    "48 → 44.1 → 48 kHz, sox": resampled_by_sox,
    "48 → 44.1 → 48 kHz, ffmpeg": resampled_by_ffmpeg,
    "1 s cut off both ends": sox("trim", "1", "-1"),
    "0.9 s and 1 s of silence added": sox("pad", "0.9", "1"),
    "MP3 320 kbit/s": by_file(".mp3", "-b:a", "320k"),
    "MP3 192 kbit/s": by_file(".mp3", "-b:a", "192k"),
    "MP3 128 kbit/s": by_file(".mp3", "-b:a", "128k"),
    "AAC 256 kbit/s": by_file(".m4a", "-c:a", "aac", "-b:a", "256k"),
    "AAC 192 kbit/s": by_file(".m4a", "-c:a", "aac", "-b:a", "192k"),
    "AAC 128 kbit/s": by_file(".m4a", "-c:a", "aac", "-b:a", "128k"),
    "Opus 256 kbit/s": by_file(".opus", "-c:a", "libopus", "-b:a", "256k"),
    "Opus 192 kbit/s": by_file(".opus", "-c:a", "libopus", "-b:a", "192k"),
    "Opus 128 kbit/s": by_file(".opus", "-c:a", "libopus", "-b:a", "128k"),
    "Vorbis q10": by_file(".ogg", "-c:a", "libvorbis", "-q:a", "10"),
    "Vorbis q5": by_file(".ogg", "-c:a", "libvorbis", "-q:a", "5"),
}
FLAT = {"modulation": "spectrum"}
BROADCAST = {**FLAT, "robustness": "broadcast"}
MODES: dict[str, dict[str, str]] = {
    "pcm, none": {},
    "pcm, archive": {"protection": "archive"},
    "spectrum flat, none": FLAT,
    "broadcast flat, none": BROADCAST,
    "broadcast flat, archive": {**BROADCAST, "protection": "archive"},
    "broadcast mission, none": {**BROADCAST, "band_plan": "mission"},
    "broadcast mission, archive": {**BROADCAST, "band_plan": "mission", "protection": "archive"},
    "lossy, none": {**FLAT, "robustness": "lossy"},
    "lossy, archive": {**FLAT, "robustness": "lossy", "protection": "archive"},
}


def intact(path: Path, expected: dict[int, str]) -> float:
    """The share of rows that are read as they were; ``AssertionError`` for one that is wrong."""
    try:
        with Table(path) as table:
            right = 0
            for rowid, body in expected.items():
                try:
                    row = table.get(rowid)
                except AudioMemError:
                    continue
                assert row is None or row["body"] == body
                right += row is not None
            return right / len(expected)
    except AudioMemError:
        return 0.0


def processes(rows: pa.Table) -> None:
    """What is left of a table after each process, by mode."""
    bodies = dict(enumerate(rows["body"].to_pylist(), 1))
    plain = sum(len(body.encode()) for body in bodies.values())
    shares: dict[str, list[float]] = {name: [] for name in PROCESSES}
    sizes = []
    for options in MODES.values():
        with tempfile.TemporaryDirectory() as folder:
            written, heard = Path(folder) / "t.flac", Path(folder) / "heard.flac"
            with Table.create(
                written, ["id INTEGER PRIMARY KEY", "body TEXT"], {"profile": "desktop"} | options
            ) as table:
                table.append([{"id": rowid, "body": body} for rowid, body in bodies.items()])
                table.vacuum()
            sizes.append(os.path.getsize(written))
            for name, process in PROCESSES.items():
                try:
                    process(written, heard)
                except subprocess.CalledProcessError:  # nothing is left of a file that was cut
                    shares[name].append(0.0)
                else:
                    shares[name].append(intact(heard, bodies))
    print("| process | " + " | ".join(MODES) + " |")
    print("|---" * (len(MODES) + 1) + "|")
    for name, kept in shares.items():
        print(f"| {name} | " + " | ".join(f"{100 * share:.4g} %" for share in kept) + " |")
    print("| bytes of the file | " + " | ".join(f"{size:,}" for size in sizes) + " |")
    print("| for a byte of text | " + " | ".join(f"{size / plain:.2f}" for size in sizes) + " |")
    print(f"\n{len(bodies):,} rows, {plain:,} bytes of text.")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="Parquet file; by default docstrings of this Python")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--skip-speed", action="store_true")
    parser.add_argument("--skip-processes", action="store_true")
    arguments = parser.parse_args()
    if not arguments.skip_speed:
        speeds()
    if not arguments.skip_processes:
        processes(rows_of(arguments.data, arguments.rows))


if __name__ == "__main__":
    main()
