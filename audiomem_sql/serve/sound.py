"""Looks at a table as sound: its bands, its spectrogram, its damage. Large ones are made once at a time."""

from __future__ import annotations

import base64
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

import numpy as np

from audiomem_sql.columns.timestamps import render
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.urls import is_url
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.served_table import ServedTable
from audiomem_sql.sound.band_health import band_states
from audiomem_sql.sound.spectrogram import LEAST, LOWEST, MOST, draw, levels, modulation, page_kinds
from audiomem_sql.table.reader import TableReader
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.versions import Snapshot

#: Seconds for which a look is kept while the table stays as it is.
_SECONDS = 60.0
#: Most segments, and most faults, that are listed; the others are counted.
_SEGMENTS, _FAULTS = 100, 1000

_Look = Callable[[ServedTable], Any]


class Looks:
    """What was looked at last, of each table. Safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: set[tuple[str, str]] = set()
        self._kept: dict[tuple[str, str], tuple[int, float, Any]] = {}

    def of(self, table: ServedTable, look: _Look) -> Any:
        """What ``look`` says of the table. Problem 503 while it is asked already."""
        key = table.name, look.__name__
        version = table.reader().version
        with self._lock:
            known = self._kept.get(key)
            if known is not None and known[0] == version and time.monotonic() - known[1] < _SECONDS:
                return known[2]
            if key in self._busy:
                raise Problem(503, "somebody has this made already; come again in a few seconds")
            self._busy.add(key)
        try:
            found = look(table)
            with self._lock:
                self._kept[key] = version, time.monotonic(), found
        finally:
            with self._lock:
                self._busy.discard(key)
        return found


def bands(table: ServedTable) -> dict[str, Any]:
    """The bands, and the first file as sound."""
    reader = table.reader()
    snapshot = reader.snapshot.readable()
    file = snapshot.segments[0].file
    profile = file.profile
    return {
        "table": table.name,
        "version": reader.version,
        "sample_rate": profile.sample_rate,
        "bits_per_sample": profile.bits_per_sample,
        "channels": profile.channels,
        "modulation": modulation(snapshot.segments[0]),
        "protection": file.layout.level.name,
        "seconds": file.sound.present * profile.block_size / profile.sample_rate,
        "bands": [
            {
                "name": state.name,
                "low": state.low,
                "high": state.high,
                "bits": state.bits,
                "redundancy": state.redundancy,
                "bytes": state.bytes,
                "health": state.health,
                "corrections": state.corrections,
                "lost": state.lost,
            }
            for state in band_states(snapshot)
        ],
    }


def spectrogram(table: ServedTable) -> dict[str, Any]:
    """Levels in 256 steps between two of dB: a row for each frequency, the lowest first."""
    snapshot = _local(table)
    shown, edges, seconds = levels(snapshot.segments[0].file.sound)
    steps = np.clip((shown - LEAST) / (MOST - LEAST) * 255, 0, 255).astype(np.uint8)
    return {
        "table": table.name,
        "seconds": seconds,
        "low": LOWEST,
        "high": float(edges[-1]),
        "decibels": [LEAST, MOST],
        "rows": int(steps.shape[0]),
        "columns": int(steps.shape[1]),
        "levels": base64.b64encode(steps.tobytes()).decode("ascii"),
    }


_DRAWING = threading.Lock()


def picture(table: ServedTable) -> bytes:
    """The picture of ``audiomem spectrogram``, a PNG. MissingExtraError without matplotlib."""
    snapshot = _local(table)
    with tempfile.TemporaryDirectory(prefix="audiomem-serve-") as folder, _DRAWING:
        path = os.path.join(folder, "picture.png")
        draw(snapshot, path)
        with open(path, "rb") as file:
            return file.read()


def damage(table: ServedTable) -> dict[str, Any]:
    """What each page holds, and every fault."""
    try:
        with TableReader(table.place, cache=None) as reader:
            snapshot = reader.snapshot.readable()
            found = list(problems(reader))
            segments = snapshot.segments
            damaged: dict[str, set[int]] = {}
            for problem in found:
                if problem.page is not None:
                    damaged.setdefault(problem.file, set()).add(problem.page)
            shown = [
                {"rows": segment.rows, "pages": _runs(_kinds(segment, damaged))}
                for segment in segments[:_SEGMENTS]
            ]
            version, count = reader.version, len(segments)
    except DamagedFileError as error:
        return _damage(table, None, [], 0, [{"page": None, "fault": error.what, "repair": None}], 1)
    faults = [
        {
            "page": problem.page,
            "cells": list(problem.cells),
            "shard": problem.shard,
            "fault": problem.what,
            "repair": problem.repair,
        }
        for problem in found[:_FAULTS]
    ]
    return _damage(table, version, shown, count, faults, len(found))


def _damage(
    table: ServedTable,
    version: int | None,
    segments: list[dict[str, Any]],
    segment_count: int,
    faults: list[dict[str, Any]],
    fault_count: int,
) -> dict[str, Any]:
    return {
        "table": table.name,
        "version": version,
        "time": render(time.time_ns() // 1000),
        "segments": segments,
        "segment_count": segment_count,
        "faults": faults,
        "fault_count": fault_count,
    }


def _kinds(segment: Any, damaged: dict[str, set[int]]) -> list[str]:
    """What each page holds; a fault names a page by its place in the file."""
    kinds = page_kinds(segment)
    first = segment.file.first
    for page in segment.file.missing:
        kinds[page] = "damaged"
    for page in damaged.get(segment.path, ()):
        if 0 <= page - first < len(kinds):
            kinds[page - first] = "damaged"
    return kinds


def _runs(kinds: Iterable[str]) -> list[tuple[str, int]]:
    return [(kind, sum(1 for _ in same)) for kind, same in groupby(kinds)]


def _local(table: ServedTable) -> Snapshot:
    if is_url(table.place):
        raise Problem(409, "the table is at another address, and is not fetched for a picture")
    return table.reader().snapshot.readable()
