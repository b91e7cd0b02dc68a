"""Databases for tests: made with their tables' files, and deleted with them."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from itertools import filterfalse
from typing import Any

from django.db.backends.sqlite3 import creation

from audiomem_sql.errors import AudioMemError
from audiomem_sql.machine.urls import is_url
from audiomem_sql.orm.table_files import tables_with_files
from audiomem_sql.table import dropping


class DatabaseCreation(creation.DatabaseCreation):
    """A database for tests is a file in a folder of its own, unless ``TEST: {"NAME": …}`` says where."""

    _folder: str | None = None

    def _get_test_db_name(self) -> str:
        named = self.connection.settings_dict["TEST"]["NAME"]
        if named:
            return str(named)
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="audiomem-test-")
        return os.path.join(self._folder, "test.sqlite3")

    def _create_test_db(self, verbosity: int, autoclobber: bool, keepdb: bool = False) -> Any:
        name = self._get_test_db_name()
        files = [] if keepdb else _files_of(name)
        made = super()._create_test_db(verbosity, autoclobber, keepdb)
        _delete(files)
        return made

    def _destroy_test_db(self, test_database_name: str, verbosity: int) -> None:
        files = _files_of(test_database_name)
        super()._destroy_test_db(test_database_name, verbosity)
        _delete(files)
        with contextlib.suppress(OSError):
            os.rmdir(f"{test_database_name}.tables")
        if self._folder is not None:
            shutil.rmtree(self._folder)
            self._folder = None


def _files_of(database: str) -> list[str]:
    """The files of the tables that a database names."""
    if not os.path.exists(database):
        return []
    connection = sqlite3.connect(database)
    try:
        return [path for *_, path in tables_with_files(connection.execute)]
    finally:
        connection.close()


def _delete(files: list[str]) -> None:
    for path in filterfalse(is_url, files):  # what is in a store was there before the test
        with contextlib.suppress(AudioMemError):  # it is gone, or somebody uses it
            dropping.drop(path)
