"""Bytes ⇄ sound: pages of bytes as the frames of a FLAC file. Nothing here knows about tables.

What the rooms above use, and all that they may use:

- reading: ``open_pages`` and ``rescan`` give a ``PageSource``; ``Probe`` tells it a page; ``missing_pages``
  checks a range; ``evidence_of_a_table`` says why sound without pages was a table once
- writing: ``FlacWriter``, in a ``Profile``: one of ``PROFILES``, or what ``resolve``, ``small_profile`` and
  ``spectrum_profile`` give; ``changed_streaminfo``, the first ``STREAM_HEAD_BYTES``, after pages were
  appended
- modulation: a ``Mode`` of one of ``PLANS`` and ``ROBUSTNESS``; ``spectrum_of`` gives its ``Spectrum`` and,
  inside it, its ``Shape``; ``require_scipy`` before the first one; ``BandReading`` and ``Health`` say how
  well a band is heard
- streams for players: ``initialisation`` and ``fragment_head`` of MP4 files with FLAC; ``media_playlist``,
  ``index_playlist`` and ``chapters`` of each ``Part`` and ``Chapter``, and
  ``parsed_playlist``
- metadata that others put in: ``Tags``, ``read_tags``, ``NO_TAGS``; ``Picture``, ``with_cover``;
  ``has_blank_padding``
- numbers: ``frame_count``, ``frame_offset``, ``frame_size``; ``unpacked`` samples of a page

scipy and soundfile are imported by the first call that needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiomem_sql.first_use import at_first_use

if TYPE_CHECKING:
    from audiomem_sql.audio.finding.decoded import DecodedPages
    from audiomem_sql.audio.finding.opening import VerbatimPages, open_pages
    from audiomem_sql.audio.finding.scanned import ScannedPages, rescan
    from audiomem_sql.audio.finding.was_a_table import evidence_of_a_table
    from audiomem_sql.audio.flac.comments import (
        NO_TAGS,
        Picture,
        Tags,
        has_blank_padding,
        read_tags,
        with_cover,
    )
    from audiomem_sql.audio.flac.frames import frame_count, frame_offset, frame_size, frame_sizes, pack_frames
    from audiomem_sql.audio.flac.metadata import STREAM_HEAD_BYTES, changed_streaminfo
    from audiomem_sql.audio.flac.profiles import PROFILES, Profile, resolve, small_profile
    from audiomem_sql.audio.flac.writer import FlacWriter
    from audiomem_sql.audio.mp4.boxes import fragment_head, initialisation
    from audiomem_sql.audio.mp4.playlist import (
        CHAPTERS,
        INDEX,
        MOST_PLAYLIST_BYTES,
        Chapter,
        Part,
        chapters,
        index_playlist,
        media_playlist,
        parsed_playlist,
    )
    from audiomem_sql.audio.source import PageSource, Probe, missing_pages
    from audiomem_sql.audio.spectrum.health import BandReading, Health
    from audiomem_sql.audio.spectrum.plans import PLANS, ROBUSTNESS, Mode
    from audiomem_sql.audio.spectrum.shape import Shape, spectrum_profile
    from audiomem_sql.audio.spectrum.spectrum import Spectrum, spectrum_of
    from audiomem_sql.audio.spectrum.transform import require_scipy, unpacked

__all__ = [
    "CHAPTERS",
    "INDEX",
    "MOST_PLAYLIST_BYTES",
    "NO_TAGS",
    "PLANS",
    "PROFILES",
    "ROBUSTNESS",
    "STREAM_HEAD_BYTES",
    "BandReading",
    "Chapter",
    "DecodedPages",
    "FlacWriter",
    "Health",
    "Mode",
    "PageSource",
    "Part",
    "Picture",
    "Probe",
    "Profile",
    "ScannedPages",
    "Shape",
    "Spectrum",
    "Tags",
    "VerbatimPages",
    "changed_streaminfo",
    "chapters",
    "evidence_of_a_table",
    "fragment_head",
    "frame_count",
    "frame_offset",
    "frame_size",
    "frame_sizes",
    "has_blank_padding",
    "index_playlist",
    "initialisation",
    "media_playlist",
    "missing_pages",
    "open_pages",
    "pack_frames",
    "parsed_playlist",
    "read_tags",
    "require_scipy",
    "rescan",
    "resolve",
    "small_profile",
    "spectrum_of",
    "spectrum_profile",
    "unpacked",
    "with_cover",
]

__getattr__ = at_first_use(
    __name__,
    {
        "finding.decoded": ("DecodedPages",),
        "finding.opening": ("VerbatimPages", "open_pages"),
        "finding.scanned": ("ScannedPages", "rescan"),
        "finding.was_a_table": ("evidence_of_a_table",),
        "flac.comments": ("NO_TAGS", "Picture", "Tags", "has_blank_padding", "read_tags", "with_cover"),
        "flac.frames": ("frame_count", "frame_offset", "frame_size", "frame_sizes", "pack_frames"),
        "flac.metadata": ("STREAM_HEAD_BYTES", "changed_streaminfo"),
        "flac.profiles": ("PROFILES", "Profile", "resolve", "small_profile"),
        "flac.writer": ("FlacWriter",),
        "mp4.boxes": ("fragment_head", "initialisation"),
        "mp4.playlist": (
            "CHAPTERS",
            "Chapter",
            "INDEX",
            "MOST_PLAYLIST_BYTES",
            "Part",
            "chapters",
            "index_playlist",
            "media_playlist",
            "parsed_playlist",
        ),
        "source": ("PageSource", "Probe", "missing_pages"),
        "spectrum.health": ("BandReading", "Health"),
        "spectrum.plans": ("Mode", "PLANS", "ROBUSTNESS"),
        "spectrum.shape": ("Shape", "spectrum_profile"),
        "spectrum.spectrum": ("Spectrum", "spectrum_of"),
        "spectrum.transform": ("require_scipy", "unpacked"),
    },
)
