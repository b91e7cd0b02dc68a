"""Pages with a recognisable beginning, and the command-line tools that judge our files."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from struct import Struct

import numpy as np

from audiomem_sql.audio import PROFILES, FlacWriter, Profile
from audiomem_sql.audio.flac.frames import HEAD_BYTES, Bytes
from audiomem_sql.audio.flac.profiles import match
from audiomem_sql.audio.flac.writer import interleave
from audiomem_sql.errors import NotAudioMemoryError

HEAD = Struct("<8sII")
MAGIC = b"testpage"


def smallest(bits: int, channels: int, sample_rate: int = 48_000) -> Profile:
    """The profile of this shape with the smallest page."""
    sizes = (size for size in range(1024, 8192, 1024) if size * channels * bits // 8 >= 8192)
    block = next(size for size in sizes if match(sample_rate, bits, channels, size).name == "custom")
    return Profile("custom", sample_rate, bits, channels, block)


SHAPES = [*PROFILES.values(), *(smallest(bits, channels) for bits in (16, 24) for channels in range(1, 9))]


def shape_id(profile: Profile) -> str:
    return f"{profile.name}-{profile.bits_per_sample}bit-{profile.channels}ch-{profile.block_size}"


def make_pages(profile: Profile, count: int, seed: int = 0) -> Bytes:
    """Pages of noise, every third of them quiet so that other encoders do compress it.

    Each begins with ``HEAD``.
    """
    pages = np.random.default_rng(seed).integers(0, 256, (count, profile.page_size), dtype=np.uint8)
    pages[1::3, profile.page_size // 4 :] = 0
    for n, page in enumerate(pages):
        page[: HEAD.size] = np.frombuffer(HEAD.pack(MAGIC, profile.block_size, n), dtype=np.uint8)
    return pages


def probe(head: bytes) -> int:
    """Tells our pages from music, as the layer above does."""
    assert len(head) == HEAD_BYTES
    magic, block_size, _ = HEAD.unpack_from(head)
    if magic != MAGIC:
        raise NotAudioMemoryError("no page header")
    return int(block_size)


def write_file(
    path: Path,
    profile: Profile,
    pages: Bytes,
    application: bytes = b"hint",
    comments: Mapping[str, str] | None = None,
    padding: int = 4096,
) -> FlacWriter:
    """A finished file of these pages; the writer tells where things are."""
    with path.open("wb") as sink:
        writer = FlacWriter(sink, profile, len(pages), application, comments or {"TITLE": "notes"}, padding)
        writer.write_pages(pages)
        writer.close()
    return writer


def pcm(profile: Profile, pages: Bytes) -> bytes:
    """Interleaved little-endian samples, what decoders put out."""
    return interleave(profile, pages).tobytes()


def run(*command: str | Path, stdin: bytes | None = None) -> bytes:
    """Standard output of a tool that must succeed and have nothing to complain about."""
    done = subprocess.run([str(part) for part in command], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def ffmpeg(*arguments: str | Path) -> bytes:
    """Run ffmpeg so that it stops at the first error and overwrites."""
    return run("ffmpeg", "-v", "error", "-xerror", "-y", *arguments)
