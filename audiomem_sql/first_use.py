"""Names of a room that are imported at their first use: what few processes need costs the others nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def at_first_use(package: str, modules: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """The ``__getattr__`` (PEP 562) of a package whose names stand in modules that are imported by need.

    modules: those below the package, such as ``ranking.options``, each with the names that it gives. Write
    ``from package import room`` at the top and ``room.name`` where it is used: ``from room import name``
    imports the module at once.
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def of_module(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return of_module
