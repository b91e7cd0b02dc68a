"""The entry points of pyproject.toml, for a tree that is on the path but not installed."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def write_entry_points(folder: Path) -> Path:
    """Metadata of a distribution that has them; ``folder``, which then belongs on the path."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    made = folder / "audiomem_tree-0.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: audiomem-tree\nVersion: 0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for group, entries in groups.items()
    ]
    (made / "entry_points.txt").write_text("\n".join(lines))
    return folder
