"""What tests of conversions share: vectors, digests of sources, and what became of a collection."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

import audiomem_sql as am
from audiomem_sql.conversion.collection import Wishes
from audiomem_sql.conversion.convert import Converted, convert

WIDTH = 24


def vectors(count: int, width: int = WIDTH) -> np.ndarray[Any, Any]:
    """float32 (count, width), the same in every run."""
    return np.random.default_rng(7).normal(size=(count, width)).astype("<f4")


def digest(path: Path) -> dict[str, str]:
    """What is in a file or a folder, by name."""
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    beside = [] if path.is_dir() else sorted(path.parent.glob(f"{path.name}*"))
    return {str(each): hashlib.sha256(each.read_bytes()).hexdigest() for each in [*files, *beside]}


def converted(source: Path, target: Path, collection: str | None = None, **wishes: Any) -> Converted:
    """The one collection that became a table; the source is as it was."""
    before = digest(source)
    (done,) = convert(source, target, collection=collection, wishes=Wishes(**wishes))
    assert digest(source) == before
    return done


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a table."""
    with am.open(path) as table:
        return list(table.to_arrow().to_pylist())


def column(path: Path, name: str) -> np.ndarray[Any, Any]:
    """The vectors of a column, float32 (n, d)."""
    with am.open(path) as table:
        values = table.to_arrow([name])[name].combine_chunks()
    return np.asarray(values.flatten(), np.float32).reshape(len(values), -1)
