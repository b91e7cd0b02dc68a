"""A picture of the house as SVG: rooms as boxes on floors, and what they import below them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from tools.floors import Layout, Point, lay_out
from tools.imports import circles

BOX_HEIGHT = 38.0
FLOOR_HEIGHT = 74.0
MARGIN = 28.0
HEADING = 84.0
STYLE = """
text{font-family:"Helvetica Neue",Helvetica,Arial,sans-serif;fill:#22384d}
.title{font-size:20px;font-weight:600}.note{font-size:12px;fill:#6b7c8c}
.name{font-size:13px;font-weight:600;text-anchor:middle}.size{font-size:10px;fill:#6b7c8c;text-anchor:middle}
.floor{fill:#f5f7f9}.folder{fill:#dce8f3;stroke:#3f6d97}.module{fill:#fff;stroke:#9fb0bf}.circle{fill:#fde3dc;stroke:#c8452b}
.arrow{fill:none;stroke:#7d93a8;stroke-width:1.1;marker-end:url(#head)}.head{fill:#7d93a8}
"""


@dataclass(frozen=True)
class Room:
    """A box: a folder of modules, or a single module at the top of the package."""

    name: str
    files: int
    lines: int
    is_folder: bool

    @property
    def size(self) -> str:
        """What is written below the name."""
        if not self.is_folder:
            return f"{self.lines:,}"
        return f"{self.files} files · {self.lines:,}"

    @property
    def width(self) -> float:
        """What the box takes from left to right."""
        return max(len(self.name) * 7.7, len(self.size) * 5.2) + 20


def draw(title: str, rooms: Iterable[Room], pairs: Iterable[tuple[str, str]]) -> str:
    """The picture as the text of an SVG file.

    Args:
        title: What is written above it.
        rooms: The boxes.
        pairs: Who imports whom, by name. An arrow that follows from others is not drawn.
    """
    by_name = {room.name: room for room in rooms}
    pairs = set(pairs)
    layout = lay_out(by_name, pairs, lambda name: by_name[name].width)
    floors = max(layout.floor.values()) + 1
    width = max(layout.width, 640.0) + 2 * MARGIN
    height = HEADING + floors * FLOOR_HEIGHT
    note = (
        f"{len(by_name)} rooms on {floors} floors, {len(pairs)} arrows; drawn are the {len(layout.arrows)} "
        "that do not follow from others. Below a name: lines."
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" '
        f'height="{height:.0f}" role="img"><title>{escape(title)}</title><style>{STYLE}</style>',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto">'
        '<path class="head" d="M0 1 8 4 0 7z"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
        f'<text class="title" x="{MARGIN:.0f}" y="36">{escape(title)}</text>',
        f'<text class="note" x="{MARGIN:.0f}" y="58">{note}</text>',
    ]
    parts += [
        f'<rect class="floor" y="{HEADING + floor * FLOOR_HEIGHT:.0f}" width="{width:.0f}" '
        f'height="{FLOOR_HEIGHT:.0f}"/>'
        for floor in range(0, floors, 2)
    ]
    offset = (width - layout.width) / 2
    parts += _arrows(layout, by_name, floors, offset)
    in_circles = {name for group in circles(pairs) for name in group}
    for name, room in sorted(by_name.items()):
        kind = "circle" if name in in_circles else "folder" if room.is_folder else "module"
        x, y = layout.places[name] + offset, _top(layout.floor[name], floors)
        parts.append(
            f'<rect class="{kind}" x="{x - room.width / 2:.0f}" y="{y:.0f}" width="{room.width:.0f}" '
            f'height="{BOX_HEIGHT:.0f}" rx="6"/>'
            f'<text class="name" x="{x:.0f}" y="{y + 17:.0f}">{escape(name)}</text>'
            f'<text class="size" x="{x:.0f}" y="{y + 31:.0f}">{room.size}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _top(floor: int, floors: int) -> float:
    """The y of the upper edge of a box."""
    return HEADING + (floors - 1 - floor) * FLOOR_HEIGHT + (FLOOR_HEIGHT - BOX_HEIGHT) / 2


def _arrows(layout: Layout, rooms: Mapping[str, Room], floors: int, offset: float) -> list[str]:
    """One path an arrow: straight through the floors that it passes, curved between them."""
    starts = _ports(layout, rooms, 0)
    ends = _ports(layout, rooms, 1)
    paths = []
    for pair in sorted(layout.arrows):
        places = [layout.places[bend] for bend in layout.bends(*pair)]
        levels = range(layout.floor[pair[0]], layout.floor[pair[1]] - 1, -1)
        path = ""
        for level, (upper, lower) in zip(levels, pairwise([starts[pair], *places, ends[pair]]), strict=False):
            top, bottom = _top(level, floors) + BOX_HEIGHT, _top(level - 1, floors)
            middle, upper, lower = (top + bottom) / 2, upper + offset, lower + offset
            path += f"{'L' if path else 'M'}{upper:.0f} {top:.0f}"
            path += f"C{upper:.0f} {middle:.0f} {lower:.0f} {middle:.0f} {lower:.0f} {bottom:.0f}"
        paths.append(f'<path class="arrow" d="{path}"/>')
    return paths


def _ports(layout: Layout, rooms: Mapping[str, Room], end: int) -> dict[tuple[str, str], float]:
    """The x at which each arrow leaves its box (``end`` 0) or reaches it (1), ordered by the other ends."""
    at: dict[str, list[tuple[float, tuple[str, str]]]] = {}
    for pair in layout.arrows:
        points: list[Point] = [pair[0], *layout.bends(*pair), pair[1]]
        neighbour = points[1] if end == 0 else points[-2]
        at.setdefault(pair[end], []).append((layout.places[neighbour], pair))
    ports = {}
    for name, arrows in at.items():
        room = rooms[name].width * 0.7
        for index, (_, pair) in enumerate(sorted(arrows)):
            ports[pair] = layout.places[name] + ((index + 0.5) / len(arrows) - 0.5) * room
    return ports
