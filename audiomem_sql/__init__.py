"""AudioMemory SQL: tables kept in FLAC audio files.

Everything is imported at first use, so that ``import audiomem_sql`` costs milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audiomem_sql._version import __version__

if TYPE_CHECKING:
    from audiomem_sql.connections import attach, connect, install_hook, load, register, register_duckdb
    from audiomem_sql.errors import AudioMemError, DamageWarning, UpkeepWarning
    from audiomem_sql.frames.read_write import create, open, read_flac, write_flac
    from audiomem_sql.loadable import loadable_path
    from audiomem_sql.machine.device import use_device
    from audiomem_sql.pandas import read_sql
    from audiomem_sql.polars import scan_flac
    from audiomem_sql.search import allow_model
    from audiomem_sql.table.dropping import drop
    from audiomem_sql.table.open_dataset import dataset
    from audiomem_sql.table.row_edits import ChangedRows
    from audiomem_sql.table.table import Table

__all__ = [
    "AudioMemError",
    "ChangedRows",
    "DamageWarning",
    "Table",
    "UpkeepWarning",
    "__version__",
    "allow_model",
    "attach",
    "connect",
    "create",
    "dataset",
    "drop",
    "install_hook",
    "load",
    "loadable_path",
    "open",
    "read_flac",
    "read_sql",
    "register",
    "register_duckdb",
    "scan_flac",
    "use_device",
    "write_flac",
]

_HOMES = {
    "AudioMemError": "errors",
    "DamageWarning": "errors",
    "UpkeepWarning": "errors",
    "ChangedRows": "table.row_edits",
    "Table": "table.table",
    "allow_model": "search",
    "attach": "connections",
    "connect": "connections",
    "create": "frames.read_write",
    "dataset": "table.open_dataset",
    "drop": "table.dropping",
    "install_hook": "connections",
    "load": "connections",
    "loadable_path": "loadable",
    "open": "frames.read_write",
    "read_flac": "frames.read_write",
    "read_sql": "pandas",
    "register": "connections",
    "register_duckdb": "connections",
    "scan_flac": "polars",
    "use_device": "machine.device",
    "write_flac": "frames.read_write",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
