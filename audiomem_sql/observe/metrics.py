"""The metrics, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from audiomem_sql._version import __version__
from audiomem_sql.observe import hooks
from audiomem_sql.observe.figures import CacheFigures, TableFigures
from audiomem_sql.observe.observer import MOST_TABLES

PREFIX = "audio_memory_"
#: Upper bounds in seconds.
BUCKETS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_COUNTERS = {
    "rows_written": ("rows_written", "Rows in commits, by what became of them.", ("table", "change")),
    "errors": ("errors", "Errors that a stage ended with, by class.", ("error",)),
    "ecc_corrections": (
        "ecc_corrections",
        "Damage found by reading: cells, by the code of a page or the parity; bytes, by the code of a band.",
        ("layer", "severity"),
    ),
    "store_requests": ("store_requests", "Requests to stores.", ("store", "method", "outcome")),
    "store_bytes": ("store_bytes", "Bytes to and from stores.", ("store", "direction")),
    "jobs": ("jobs", "Jobs that ended, by how.", ("kind", "state")),
    "http_requests": ("http_requests", "Requests to the service.", ("method", "route", "status")),
}
_HISTOGRAMS = {
    "stage_duration": (
        "stage_duration_seconds",
        "Time of a stage and those inside.",
        ("stage", "table"),
    ),
    "lock_wait": ("lock_wait_seconds", "Time that writers waited for another one.", ("table", "kind")),
    "store_request_duration": ("store_request_duration_seconds", "Time of requests.", ("store", "method")),
    "job_duration": ("job_duration_seconds", "Time of jobs, from their start to their end.", ("kind",)),
    "http_request_duration": ("http_request_duration_seconds", "Time of the service.", ("method", "route")),
}
_GAUGES = {
    "table_rows": ("Rows of the newest version.", "rows"),
    "table_version": ("The newest version.", "version"),
    "version_timestamp_seconds": ("When the newest version was committed.", "committed"),
    "table_bytes": ("Bytes of all files of the table.", "total_bytes"),
    "log_bytes": ("Bytes of commits that are not in a segment yet.", "log_bytes"),
    "delta_bytes": ("Bytes of segments behind the first one.", "delta_bytes"),
    "table_segments": ("Segments.", "segments"),
    "compression_ratio": ("Bytes of values for each byte of the files.", "ratio"),
}


class Metrics:
    """The metrics of this process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._kinds: dict[str, Any] = {
            key: Counter(PREFIX + name, text, labels, registry=self.registry)
            for key, (name, text, labels) in _COUNTERS.items()
        }
        for key, (name, text, labels) in _HISTOGRAMS.items():
            self._kinds[key] = Histogram(PREFIX + name, text, labels, registry=self.registry, buckets=BUCKETS)
        self._histograms = frozenset(_HISTOGRAMS)
        self._children: dict[tuple[str, tuple[str, ...]], Any] = {}
        for layer in ("page", "parity", "band"):
            for severity in ("corrected", "lost"):
                self.add("ecc_corrections", 0, layer=layer, severity=severity)
        self.registry.register(_Collector())

    def add(self, name: str, amount: float, **labels: str) -> None:
        """Add to a counter, or an observation to a histogram."""
        key = name, tuple(labels.values())
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._kinds[name].labels(**labels)
        if name in self._histograms:
            child.observe(amount)
        else:
            child.inc(amount)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        text: bytes = generate_latest(self.registry)
        return text


class _Collector:
    """What is asked for when metrics are: open tables and caches."""

    def describe(self) -> list[Metric]:
        """Nothing: a registry asks no table when it is made."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The gauges of tables and what was counted at caches."""
        build = GaugeMetricFamily(PREFIX + "build_info", "The version of the library.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        for refresh in list(hooks.refreshes):
            refresh()
        yield from _of_tables(known_tables())
        yield from _of_caches()


def known_tables() -> dict[str, TableFigures]:
    """The open tables by name: of those with one name the one with the newest version, MOST_TABLES of all."""
    found: dict[str, TableFigures] = {}
    for table in _open_tables():
        try:
            figures: TableFigures = table.figures()
        except Exception:  # it is being closed, or its files are gone: whoever uses it is told
            continue
        label = hooks.observer.table_label(figures.path) if hooks.observer else figures.path
        other = found.get(label)
        if len(found) < MOST_TABLES and (other is None or other.version < figures.version):
            found[label] = figures
    return found


def _open_tables() -> list[Any]:
    for _ in range(10):
        try:
            return [table for table in hooks.tables if not table.closed]
        except RuntimeError:  # one was opened meanwhile
            continue
    return []


def _of_tables(tables: dict[str, TableFigures]) -> Iterator[Metric]:
    for name, (text, attribute) in _GAUGES.items():
        gauge = GaugeMetricFamily(PREFIX + name, text, labels=["table"])
        for label, figures in tables.items():
            gauge.add_metric([label], float(getattr(figures, attribute)))
        yield gauge
    health: dict[tuple[str, str], float] = {}
    for figures in tables.values():
        for band, value in figures.bands.items():
            key = band, figures.profile
            health[key] = min(value, health.get(key, 1.0))
    gauge = GaugeMetricFamily(
        PREFIX + "frequency_health",
        "How well a frequency band is heard, 1 to 0, in the table where it is heard worst.",
        labels=["band", "profile"],
    )
    for labels, value in health.items():
        gauge.add_metric(labels, value)
    yield gauge


def _of_caches() -> Iterator[Metric]:
    counters = {
        name: CounterMetricFamily(f"{PREFIX}cache_{name}", text, labels=["tier"])
        for name, text in (
            ("hits", "Blocks that were in the tier."),
            ("misses", "Blocks that were not."),
            ("evictions", "Blocks that were thrown away for room."),
            ("errors", "Blocks that were damaged, and requests that failed."),
        )
    }
    held = GaugeMetricFamily(PREFIX + "cache_bytes", "Bytes in the tier.", labels=["tier"])
    capacity = GaugeMetricFamily(PREFIX + "cache_capacity_bytes", "Bytes it may hold.", labels=["tier"])
    rows: dict[str, CacheFigures] = {row.tier: row for tell in hooks.caches for row in tell()}
    for row in rows.values():
        for name, counter in counters.items():
            counter.add_metric([row.tier], getattr(row, name))
        for gauge, value in ((held, row.held), (capacity, row.capacity)):
            if value is not None:
                gauge.add_metric([row.tier], value)
    yield from (*counters.values(), held, capacity)
