"""The loadable extension registers names before Python runs: they are those that Python has."""

from __future__ import annotations

import apsw

from audiomem_sql import udfs
from audiomem_sql.loadable import load_for_apsw
from audiomem_sql.vtab.table_functions import table_functions
from audiomem_sql.vtab.tables import Tables

#: What SQLite says of a function: DETERMINISTIC, DIRECTONLY and INNOCUOUS.
FLAGS = 0x800 | 0x80000 | 0x200000


def registered() -> tuple[set[tuple[str, str, int, int]], set[str]]:
    """Of a connection with the extension what one without it lacks: functions, and modules."""
    plain, loaded = apsw.Connection(":memory:"), apsw.Connection(":memory:")
    assert load_for_apsw(loaded)
    functions, modules = [], []
    for connection in (plain, loaded):
        rows = connection.execute("SELECT name, type, narg, flags FROM pragma_function_list").fetchall()
        functions.append({(name, kind, count, flags & FLAGS) for name, kind, count, flags in rows})
        modules.append({name for (name,) in connection.execute("SELECT name FROM pragma_module_list")})
        connection.close()
    return functions[1] - functions[0], modules[1] - modules[0]


def test_functions_of_c_are_those_of_python() -> None:
    functions, modules = registered()
    expected = {
        (function.name, "s", count, function.flags | 0x800)
        for function in udfs.all_functions()
        for count in function.counts
    }
    expected |= {(name, "w", 1, 0x800 | 0x200000) for name, _ in udfs.aggregates()}
    assert functions == expected
    assert modules == {"audiomem", *(each.name for each in table_functions(Tables(), lambda: None))}  # type: ignore[arg-type, return-value]
