"""Bytes ⇄ sound: pages of bytes as the frames of a FLAC file. Nothing here knows about tables."""

from __future__ import annotations

from audiomem_sql.audio.finding.opening import DecodedPages, ScannedPages, VerbatimPages, open_pages, rescan
from audiomem_sql.audio.flac.frames import frame_count, frame_offset, frame_size
from audiomem_sql.audio.flac.profiles import PROFILES, Profile, resolve
from audiomem_sql.audio.flac.writer import FlacWriter
from audiomem_sql.audio.source import PageSource, Probe

__all__ = [
    "PROFILES",
    "DecodedPages",
    "FlacWriter",
    "PageSource",
    "Probe",
    "Profile",
    "ScannedPages",
    "VerbatimPages",
    "frame_count",
    "frame_offset",
    "frame_size",
    "open_pages",
    "rescan",
    "resolve",
]
