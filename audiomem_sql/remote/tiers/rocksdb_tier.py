"""The tier in a RocksDB database on a local disk: for one process.

Its oldest files are dropped whole when the database is too large: RocksDB does not know what was read.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from audiomem_sql.errors import StorageError
from audiomem_sql.remote.tiers.block import Block, seal, unseal
from audiomem_sql.remote.tiers.prices import FREE
from audiomem_sql.remote.tiers.server import missing_extra
from audiomem_sql.remote.tiers.tier import Counters, TierInfo

#: Of the capacity, what is in memory before it becomes a file; files have the rest but for three of these.
_PARTS = 16
_LARGEST_BUFFER = 32 * 2**20

#: Tiers whose databases a process that is forked off must never let go of.
_OPEN: weakref.WeakSet[RocksdbTier] = weakref.WeakSet()


class RocksdbTier:
    """Blocks in the database at ``folder``, of at most ``capacity`` bytes.

    A process that was forked off has no database: it would need the threads of its parent.
    """

    def __init__(self, name: str, folder: str, capacity: int) -> None:
        self.name, self.folder, self.capacity = name, folder, capacity
        self.counters, self.prices = Counters(), FREE
        self._database: Any = None
        self._process = -1

    def open(self) -> None:
        """Open or create the database.

        MissingExtraError without rocksdict. StorageError where another process has it, or it cannot be used.
        """
        try:
            import rocksdict
        except ImportError:
            raise missing_extra("rocksdict", "rocksdb") from None
        buffer = min(_LARGEST_BUFFER, self.capacity // _PARTS)
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_compression_type(rocksdict.DBCompressionType.none())
        options.set_write_buffer_size(buffer)
        options.set_compaction_style(rocksdict.DBCompactionStyle.fifo())
        oldest_first = rocksdict.FifoCompactOptions()
        oldest_first.max_table_files_size = self.capacity - 3 * buffer
        options.set_fifo_compaction_options(oldest_first)
        options.set_max_open_files(-1)  # it drops files only if it has all open
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            self._database = rocksdict.Rdict(self.folder, options)
            without_log: Any = rocksdict.WriteOptions()
            without_log.disable_wal = True
            self._database.set_write_options(without_log)
        except Exception as error:  # rocksdict raises Exception itself
            self._database = None
            raise self._refusal(error) from error
        self._process = os.getpid()
        _OPEN.add(self)

    def leak(self) -> None:
        """Keep the database for ever: to close it would wait for threads that this process does not have."""
        import ctypes

        if self._database is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._database))

    def _refusal(self, error: Exception) -> StorageError:
        if "lock" in str(error).casefold():
            return StorageError(
                "is in use already, and RocksDB is for one process",
                file=self.folder,
                remedy="Use disk: for a cache that processes share, or a folder for each.",
            )
        return StorageError(
            f"cannot be used as a cache: {error}",
            file=self.folder,
            remedy="Name a folder that you can write to, or remove this one: it holds copies only.",
        )

    def _is_mine(self) -> bool:
        return self._database is not None and self._process == os.getpid()

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Block]:
        """The blocks that are there and are what was written; others are removed."""
        found: dict[bytes, Block] = {}
        if not self._is_mine():
            return found
        wrong = 0
        try:
            for key, sealed in zip(keys, self._database.get(list(keys)), strict=True):
                block = unseal(key, sealed) if sealed is not None else None
                if block is not None:
                    found[key] = block
                elif sealed is not None:
                    wrong += 1
                    self._database.delete(key)
        except Exception:  # a damaged file of the database
            wrong += 1
        self.counters.add(requests=1, errors=wrong)
        return found

    def put_many(self, blocks: Mapping[bytes, Block]) -> int:
        """Write the blocks."""
        if not self._is_mine():
            return 0
        kept = failed = 0
        try:
            for key, block in blocks.items():
                self._database[key] = seal(key, block)
                kept += len(block.data)
        except Exception:  # a full disk
            failed = 1
        self.counters.add(requests=len(blocks), errors=failed)
        return kept

    def info(self) -> TierInfo:
        """Bytes of its files and of what is not in a file yet."""
        if not self._is_mine():
            elsewhere = self._database is not None
            return TierInfo(None, self.capacity, "left out: of the parent process" if elsewhere else "closed")
        names = ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")
        held = sum(self._database.property_int_value(name) or 0 for name in names)
        return TierInfo(held, self.capacity)

    def close(self) -> None:
        """Write what is in memory, and let another process have the database."""
        if self._is_mine():
            database, self._database = self._database, None
            database.close()


def _leak() -> None:
    for tier in list(_OPEN):
        tier.leak()


os.register_at_fork(after_in_child=_leak)
