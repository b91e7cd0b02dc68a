"""What docs/, the README and CONTRIBUTING name in code quotes exists: files, modules, what is in them.

- ``scan/plan.py``, ``benchmarks/damage.py``, ``storage/segment/``: in the repository or in the package;
- ``audio/spectrum``, ``scan/plan``: a folder, or a module without its suffix;
- ``scan/plan.py:choose``, ``versions/snapshot.py:Snapshot.at``: a name that the file defines;
- ``Table.append``: a member of a class of the package;
- ``audiomem_sql.migrations.migrate``: a module of the package, and a name that it defines or passes on;
- ``python -m benchmarks.vectors``: a module of the repository.

docs/ARCHITECTURE.md has a section for each room, in their order. Links between pages lead to a file, and to a
heading if they name one.
"""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from audiomem_sql.errors import MissingExtraError
from tools.imports import python_files
from tools.rooms import ROOMS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "audiomem_sql"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_QUOTE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"(?:[\w.-]+/)*[\w.-]+\.(?:py|c|h|md|ipynb|json|jsonl|toml|yml)|(?:[\w-]+/)+")
_BARE_PATH = re.compile(r"[a-z_]+(?:/[a-z_]\w*)+")
_NAME_IN_FILE = re.compile(r"((?:\w+/)*\w+\.py):([\w.]+)")
_MEMBER = re.compile(r"([A-Z]\w*)\.(\w+)")
_DOTTED = re.compile(r"audiomem_sql(?:\.\w+)+")
_MODULE_RUN = re.compile(r"python -m ((?:benchmarks|tools|tests)[\w.]*)")


def quotes(page: Path) -> list[str]:
    """What stands in code quotes in a page, outside of its code blocks."""
    return _QUOTE.findall(_FENCE.sub("", page.read_text()))


def located(path: str, page: Path) -> Path | None:
    """Where a path leads: from the repository, the package, or the folder of the page."""
    for start in (ROOT, PACKAGE, page.parent):
        if (start / path).exists():
            return start / path
    return None


def names_defined(path: Path) -> set[str]:
    """Classes, functions and constants of a file, and ``Class.member``."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        names |= _defined(node)
        if isinstance(node, ast.ClassDef):
            members = {name for child in node.body for name in _defined(child)}
            members |= {
                child.attr
                for child in ast.walk(node)
                if isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Store)
            }
            names |= {f"{node.name}.{member}" for member in members}
    return names


def names_passed_on(path: Path) -> set[str]:
    """What a file imports from modules of the package."""
    return {
        alias.asname or alias.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("audiomem_sql.")
        for alias in node.names
    }


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return {node.target.id}
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    return set()


def members_of_classes() -> dict[str, set[str]]:
    """The members of every class of the package, with those of its bases, by the name of the class."""
    own: dict[str, set[str]] = {}
    bases: dict[str, list[str]] = {}
    for path in python_files(PACKAGE):
        for name in names_defined(path):
            owner, _, member = name.partition(".")
            if member:
                own.setdefault(owner, set()).add(member)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                bases.setdefault(node.name, []).extend(
                    base.id for base in node.bases if isinstance(base, ast.Name)
                )
    for _ in range(len(bases)):  # as deep as there are classes at most
        before = sum(map(len, own.values()))
        for name, above in bases.items():
            for base in above:
                own.setdefault(name, set()).update(own.get(base, ()))
        if sum(map(len, own.values())) == before:
            break
    return own


def resolves(dotted: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        except MissingExtraError:  # a door whose library is not there: what its file defines
            path = ROOT.joinpath(*parts[:length])
            file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            if not file.exists():
                continue
            return ".".join(parts[length:]) in names_defined(file) | names_passed_on(file)
        for part in parts[length:]:
            if not hasattr(value, part):
                return False
            value = getattr(value, part)
        return True
    return False


MEMBERS = members_of_classes()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_named_exists(page: Path) -> None:
    missing = []
    for quote in quotes(page):
        if _PATH.fullmatch(quote) and "/" in quote and located(quote, page) is None:
            missing.append(quote)
        if match := _NAME_IN_FILE.fullmatch(quote):
            file = located(match[1], page)
            if file is None or match[2] not in names_defined(file):
                missing.append(quote)
        if (match := _MEMBER.match(quote)) and match[1] in MEMBERS and match[2] not in MEMBERS[match[1]]:
            missing.append(quote)
        if _DOTTED.fullmatch(quote) and not resolves(quote):
            missing.append(quote)
        if (
            _BARE_PATH.fullmatch(quote)
            and quote != "bin/python"
            and not (located(quote, page) or located(f"{quote}.py", page))
        ):
            missing.append(quote)
        if match := _MODULE_RUN.match(quote):
            module = ROOT / match[1].replace(".", "/")
            if not (module.with_suffix(".py").exists() or (module / "__main__.py").exists()):
                missing.append(quote)
    assert missing == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", page.read_text())):
        if not link.startswith(("http://", "https://")):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(link)
    assert broken == []


def test_architecture_has_every_room_in_order() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    section = re.split(r"^## ", text, flags=re.MULTILINE)
    (rooms,) = (part for part in section if part.startswith("Rooms\n"))
    headings = re.findall(r"^### (.*)$", rooms, re.MULTILINE)
    assert [name for heading in headings for name in _QUOTE.findall(heading)] == list(ROOMS)


def test_the_grammar_of_plans_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    code = ast.get_docstring(ast.parse((PACKAGE / "scan" / "plan.py").read_text())) or ""
    grammar = code[code.index("    plan   :=") : code.index("\n\nwhere ?n")]
    assert grammar in page


def test_names_that_do_not_exist_are_noticed() -> None:
    assert names_defined(PACKAGE / "errors.py") >= {"AudioMemError", "DamageWarning"}
    assert "append" in MEMBERS["Table"]
    assert "no_such_member" not in MEMBERS["Table"]
    assert resolves("audiomem_sql.errors.AudioMemError")
    assert not resolves("audiomem_sql.errors.NoSuchError")
    assert not resolves("audiomem_sql.semantic")
    assert located("semantic/codec.py", ROOT / "docs" / "VECTORS.md") is None
    assert _PATH.fullmatch("semantic/codec.py")
    assert _PATH.fullmatch("storage/segment/")
