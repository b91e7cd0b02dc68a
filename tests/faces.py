"""The imports of the package as pairs of modules, for the tests of faces."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from test_layout import ARROWS

#: Here a package is named without ``__init__``.
PAIRS = [(module, target.removesuffix(".__init__")) for module, target in ARROWS]


def imports_into(room: str) -> set[tuple[str, str]]:
    """(module outside of ``room``, module inside that it imports from), both named below the package."""
    return {
        (module, target)
        for module, target in PAIRS
        if f"{target}.".startswith(f"{room}.") and not f"{module}.".startswith(f"{room}.")
    }


def circle(room: str) -> list[str]:
    """Modules of ``room`` that import each other in a circle; empty if none do."""
    graph: dict[str, set[str]] = {}
    for module, target in PAIRS:
        if all(f"{name}.".startswith(f"{room}.") for name in (module, target)):
            graph.setdefault(module.removesuffix(".__init__"), set()).add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as found:
        return list(found.args[1])
    return []
