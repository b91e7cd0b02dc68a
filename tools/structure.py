"""The structure of the package: rooms, arrows between them, circles, and what is too long.

python -m tools.structure                            the list of this tree
python -m tools.structure --revision 5fcc71e         the list of another revision
python -m tools.structure --base 5fcc71e --docs docs both as a page with two pictures: ``make structure``
"""

from __future__ import annotations

import argparse
import ast
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tools.imports import (
    Function,
    Module,
    arrows,
    circles,
    functions,
    python_files,
    read_modules,
    room_arrows,
    unpack_revision,
)
from tools.picture import Room, draw
from tools.rooms import ROOMS, room

ROOT = Path(__file__).parents[1]
MOST_LINES = 400
MOST_FUNCTION_LINES = 60
#: What has limits beside the package itself.
BESIDE = ("benchmarks", "examples", "tests", "tools", "setup.py")


@dataclass(frozen=True)
class Structure:
    """What the syntax of all modules of a tree says."""

    modules: dict[str, Module]

    @cached_property
    def arrows(self) -> set[tuple[str, str]]:
        """(module, module that it imports)."""
        return arrows(self.modules)

    @cached_property
    def room_arrows(self) -> set[tuple[str, str]]:
        """(room, room that it imports from)."""
        return room_arrows(self.arrows)

    @cached_property
    def rooms(self) -> list[Room]:
        """All rooms: in the order of the rule, those that it does not know by name behind them."""
        members: dict[str, list[Module]] = {}
        for module in self.modules.values():
            members.setdefault(room(module.name), []).append(module)
        rooms = [
            Room(
                name, len(own), sum(module.lines for module in own), any("." in module.name for module in own)
            )
            for name, own in members.items()
        ]
        order = {name: number for number, name in enumerate(ROOMS)}
        return sorted(rooms, key=lambda one: (order.get(one.name, len(order)), one.name))

    def imports_of(self, name: str) -> list[str]:
        """The rooms that a room imports from, in the order of the rule."""
        targets = {target for source, target in self.room_arrows if source == name}
        return [one.name for one in self.rooms if one.name in targets]

    @property
    def in_hallway(self) -> int:
        """How many modules stand at the top of the package, in no room."""
        return sum(not one.is_folder for one in self.rooms)

    @property
    def long_modules(self) -> list[Module]:
        """Modules over 400 lines, the longest first."""
        return _longest(self.modules)

    @property
    def long_functions(self) -> list[Function]:
        """Functions over 60 lines, the longest first."""
        return _longest_functions(self.modules)

    def draw(self, title: str) -> str:
        """The picture as SVG."""
        return draw(title, self.rooms, self.room_arrows)


def _longest(modules: dict[str, Module]) -> list[Module]:
    over = [module for module in modules.values() if module.lines > MOST_LINES]
    return sorted(over, key=lambda module: (-module.lines, module.name))


def _longest_functions(modules: dict[str, Module]) -> list[Function]:
    every = (function for module in modules.values() for function in functions(module.name, module.tree))
    over = [function for function in every if function.lines > MOST_FUNCTION_LINES]
    return sorted(over, key=lambda function: (-function.lines, function.module, function.name))


def of_tree(root: Path) -> Structure:
    """The structure of the package in a repository."""
    return Structure(read_modules(root))


def of_revision(revision: str, root: Path = ROOT) -> Structure:
    """The structure of the package as it was at a revision of a repository."""
    with tempfile.TemporaryDirectory() as folder:
        unpack_revision(root, revision, Path(folder))
        return of_tree(Path(folder))


def beside_package(root: Path) -> dict[str, Module]:
    """The modules of tests, benchmarks, examples and tools, by their paths."""
    modules = {}
    for name in BESIDE:
        path = root / name
        for file in python_files(path) if path.is_dir() else [path]:
            text = file.read_text()
            key = str(file.relative_to(root))
            modules[key] = Module(key, file, len(text.splitlines()), ast.parse(text))
    return modules


def listing(structure: Structure, beside: dict[str, Module]) -> Iterator[str]:
    """The list as lines of text."""
    for one in structure.rooms:
        imports = " ".join(structure.imports_of(one.name)) or "nothing"
        yield f"{one.name}: {one.files} files, {one.lines:,} lines; imports {imports}"
    yield ""
    for title, count in counts(structure).items():
        yield f"{title}: {count:,}"
    for group in circles(structure.room_arrows):
        yield f"circle of rooms: {' '.join(group)}"
    for group in circles(structure.arrows):
        yield f"circle of files: {' '.join(group)}"
    for module in [*structure.long_modules, *_longest(beside)]:
        yield f"over {MOST_LINES} lines: {module.name} ({module.lines})"
    for function in [*structure.long_functions, *_longest_functions(beside)]:
        yield f"over {MOST_FUNCTION_LINES} lines: {function.module}: {function.name} ({function.lines})"


def counts(structure: Structure) -> dict[str, int]:
    """The figures of a structure, each with its name."""
    return {
        "modules": len(structure.modules),
        "modules in the hallway": structure.in_hallway,
        "rooms": len(structure.rooms),
        "arrows between rooms": len(structure.room_arrows),
        "circles between rooms": len(circles(structure.room_arrows)),
        "circles between files": len(circles(structure.arrows)),
        f"modules over {MOST_LINES} lines": len(structure.long_modules),
        f"functions over {MOST_FUNCTION_LINES} lines": len(structure.long_functions),
    }


def page(before: Structure, after: Structure, base: str) -> str:
    """docs/STRUCTURE.md: the figures side by side, the pictures, and the list of rooms."""
    parts = [
        "# Structure",
        "",
        "`make structure` writes this page and its pictures from the imports of all modules. "
        f"*Before* is revision `{base}`, *after* is the tree that it was run in. "
        "An import counts wherever it stands, under TYPE_CHECKING and in functions, too. "
        "A module at the top of the package is a room of its own.",
        "",
        "| | before | after |",
        "|---|---|---|",
    ]
    old, new = counts(before), counts(after)
    parts += [f"| {title} | {old[title]:,} | {new[title]:,} |" for title in old]
    parts += [
        "",
        "## After",
        "",
        "![The rooms after](structure-after.svg)",
        "",
        *_rooms_table(after),
        *_remarks(after),
    ]
    parts += [
        "",
        "## Before",
        "",
        "![The rooms before](structure-before.svg)",
        "",
        *_rooms_table(before),
        *_remarks(before),
    ]
    return "\n".join([*parts, ""])


def _rooms_table(structure: Structure) -> Iterator[str]:
    yield "| room | files | lines | imports from |"
    yield "|---|---|---|---|"
    for one in structure.rooms:
        imports = " ".join(structure.imports_of(one.name))
        yield f"| {one.name}{'/' if one.is_folder else ''} | {one.files} | {one.lines:,} | {imports} |"


def _remarks(structure: Structure) -> Iterator[str]:
    """Circles and what is too long, as paragraphs; nothing where there is nothing to say."""
    groups = {"rooms": circles(structure.room_arrows), "files": circles(structure.arrows)}
    for kind, circle in groups.items():
        if circle:
            yield ""
            yield f"Circles between {kind}: " + "; ".join(" – ".join(group) for group in circle) + "."
    if structure.long_modules:
        yield ""
        names = (f"{module.name} ({module.lines})" for module in structure.long_modules)
        yield f"Modules over {MOST_LINES} lines: {', '.join(names)}."
    if structure.long_functions:
        yield ""
        items = (
            f"{function.module}: {function.name} ({function.lines})" for function in structure.long_functions
        )
        yield f"Functions over {MOST_FUNCTION_LINES} lines: {', '.join(items)}."


def main() -> None:
    """Print the list, or write the page and its pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository")
    parser.add_argument("--revision", help="list this revision instead of the working tree")
    parser.add_argument("--svg", type=Path, help="draw the picture into this file, too")
    parser.add_argument("--base", help="the revision that the working tree is compared with")
    parser.add_argument("--docs", type=Path, help="the folder for the page that compares, and its pictures")
    options = parser.parse_args()
    if options.docs:
        before, after = of_revision(options.base, options.root), of_tree(options.root)
        (options.docs / "structure-before.svg").write_text(before.draw(f"Before: {options.base}"))
        (options.docs / "structure-after.svg").write_text(after.draw("The rooms, and what they import"))
        (options.docs / "STRUCTURE.md").write_text(page(before, after, options.base))
        return
    structure = of_revision(options.revision, options.root) if options.revision else of_tree(options.root)
    beside = {} if options.revision else beside_package(options.root)
    print(*listing(structure, beside), sep="\n")
    if options.svg:
        options.svg.write_text(structure.draw(options.revision or "The rooms, and what they import"))


if __name__ == "__main__":
    main()
