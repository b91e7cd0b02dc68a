"""tools/structure.py reads the house from its imports, and tools/walk.py from what an action does."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tools.floors import lay_out
from tools.imports import circles
from tools.picture import Room, draw
from tools.rooms import ROOMS
from tools.structure import Structure, of_tree
from tools.walk import WALKS, files_of

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def house() -> Structure:
    return of_tree(ROOT)


def test_no_circle_between_rooms(house: Structure) -> None:
    assert circles(house.room_arrows) == []


def test_nothing_in_the_package_is_too_long(house: Structure) -> None:
    assert [(module.name, module.lines) for module in house.long_modules] == []
    assert [(function.module, function.name) for function in house.long_functions] == []


def test_circles_are_found() -> None:
    pairs = {("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "d"), ("f", "g"), ("g", "f")}
    assert circles(pairs) == [["a", "b", "c"], ["f", "g"]]


def test_every_import_counts(tmp_path: Path) -> None:
    package = tmp_path / "audiomem_sql"
    (package / "inner").mkdir(parents=True)
    (package / "inner" / "__init__.py").write_text("")
    (package / "inner" / "one.py").write_text(
        "def f():\n    from audiomem_sql import top\n\n    return top\n"
    )
    (package / "top.py").write_text("if TYPE_CHECKING:\n    from audiomem_sql.inner.one import f\n")
    (package / "other.py").write_text("import numpy\nfrom audiomem_sql.inner import something\n")
    structure = of_tree(tmp_path)
    assert structure.arrows == {("inner.one", "top"), ("top", "inner.one"), ("other", "inner.__init__")}
    assert circles(structure.room_arrows) == [["inner", "top"]]
    assert structure.in_hallway == 2
    assert structure.imports_of("other") == ["inner"]


def test_what_is_too_long_is_named(tmp_path: Path) -> None:
    package = tmp_path / "audiomem_sql"
    package.mkdir()
    (package / "long.py").write_text("def f():\n" + "    pass\n" * 60 + "\n" * 340)
    structure = of_tree(tmp_path)
    assert [(module.name, module.lines) for module in structure.long_modules] == [("long", 401)]
    assert [(function.name, function.lines) for function in structure.long_functions] == [("f", 61)]


def test_arrows_point_down_and_boxes_do_not_overlap(house: Structure) -> None:
    widths = {one.name: one.width for one in house.rooms}
    layout = lay_out(widths, house.room_arrows, widths.__getitem__)
    assert all(layout.floor[source] > layout.floor[target] for source, target in house.room_arrows)
    reached = {name: {name} for name in widths}
    for name in sorted(widths, key=lambda name: layout.floor[name]):
        for source, target in layout.arrows:
            if source == name:
                reached[name] |= reached[target]
    # An arrow is left out only where others lead to the same room.
    assert all(target in reached[source] for source, target in house.room_arrows)
    for name in widths:
        for other in widths:
            if name < other and layout.floor[name] == layout.floor[other]:
                distance = abs(layout.places[name] - layout.places[other])
                assert distance >= (widths[name] + widths[other]) / 2


def test_a_circle_is_drawn_on_one_floor() -> None:
    rooms = [Room(name, 1, 10, False) for name in "abc"]
    picture = draw("A circle", rooms, {("a", "b"), ("b", "a"), ("a", "c")})
    assert picture.count('class="circle"') == 2
    assert "3 rooms on 2 floors, 3 arrows" in picture


def test_the_picture_is_an_svg_file_with_every_room(house: Structure) -> None:
    picture = house.draw("The rooms")
    texts = {
        element.text for element in ElementTree.fromstring(picture).iter() if element.tag.endswith("text")
    }
    assert {one.name for one in house.rooms} <= texts
    assert len(picture) < 100_000


def test_the_script_prints_the_list() -> None:
    command = [sys.executable, "-m", "tools.structure"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "circles between rooms: 0" in lines
    names = [line.split(":")[0] for line in lines[: lines.index("")]]
    assert names == [name for name in ROOMS if name in names]


def test_a_walk_lists_the_files_of_an_action_in_order() -> None:
    files = files_of("select")
    assert all((ROOT / "audiomem_sql" / file).exists() for file in files)
    entered = list(dict.fromkeys(file.split("/")[0] for file in files))
    assert entered[0] == "vtab"
    assert entered.index("scan") < entered.index("storage") < entered.index("audio")
    assert "writing/transaction.py" not in files


def test_a_walk_follows_other_threads_and_leaves_imports_out(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(
        "def helper():\n    pass\n\n\nhelper()\n\n\n"
        "class Thing:\n    helper()\n\n    def act(self):\n        pass\n"
    )
    code = (
        f"import sys, threading; sys.path[:0] = {[str(ROOT), str(tmp_path)]!r}\n"
        "from pathlib import Path\n"
        "from tools.walk import Recorder\n"
        f"with Recorder(Path({str(tmp_path)!r})) as recorder:\n"
        "    import module\n"
        "    imported = list(recorder.files)\n"
        "    thread = threading.Thread(target=module.Thing().act)\n"
        "    thread.start()\n"
        "    thread.join()\n"
        "print(imported, list(recorder.files))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] ['module.py']"


@pytest.mark.parametrize("name", WALKS)
def test_every_walk_can_be_walked(name: str) -> None:
    assert len(files_of(name)) > 20
