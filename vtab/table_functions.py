"""Table-valued functions of SQLite: what is known of a table, as rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import apsw
import apsw.ext

from audiomem_sql.verify import problems
from audiomem_sql.vtab.sqlite import Module


def register(connection: apsw.Connection, module: Module) -> None:
    """Make ``audiomem_verify`` known to ``connection``, whose tables ``module`` has."""

    def verify(table: str) -> Iterator[dict[str, Any]]:
        for problem in problems(module.find(table).table):
            yield {
                "file": problem.file,
                "page": problem.page,
                "cells": ",".join(map(str, problem.cells)),
                "problem": problem.what,
            }

    verify.columns = ("file", "page", "cells", "problem")  # type: ignore[attr-defined]
    verify.column_access = apsw.ext.VTColumnAccess.By_Name  # type: ignore[attr-defined]
    apsw.ext.make_virtual_module(connection, "audiomem_verify", cast(Any, verify))
