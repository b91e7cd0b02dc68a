"""Pages of the documentation site that are not in docs/: a hook of MkDocs (see ``mkdocs.yml``).

The README, the changes and CONTRIBUTING stand at the top of the repository, the API reference in docstrings,
and the examples are programs. Links are written for a reader of the repository; here they are turned to the
pages of the site.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
#: Files of the repository and the pages that show them; those in docs/ keep their names.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "LICENSE": "license.md",
}
#: The modules that users import, by page.
MODULES = {
    "audiomem_sql": "audiomem_sql",
    **{
        name: f"audiomem_sql.{name}"
        for name in ("errors", "dbapi", "pandas", "polars", "sqlalchemy", "migrations")
    },
}
#: Room for the lines of 110 characters in which code is written here.
STYLE = ".md-grid { max-width: 76rem; }\n.md-typeset pre > code { font-size: 0.65rem; }\n"
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    sources = {page: (ROOT / file).read_text() for file, page in PAGES.items()}
    sources["license.md"] = f"# License\n\n```text\n{sources['license.md']}```\n"
    sources |= {f"api/{page}.md": reference(module) for page, module in MODULES.items()}
    sources |= examples() | {"site.css": STYLE}
    for path, text in sources.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links to pages of the site."""
    path = page.file.src_uri
    file = next((file for file, shown in PAGES.items() if shown == path), f"docs/{path}")
    return _LINK.sub(lambda link: page_of(link[1], file, path) + (link[2] or ""), markdown)


def page_of(link: str, file: str, page: str) -> str:
    """What ``link`` in ``file`` of the repository is from ``page`` of the site; as it is if there is none."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(file), link))
    if target in PAGES:
        shown = PAGES[target]
    elif target.startswith("docs/"):
        shown = target.removeprefix("docs/")
    elif target.startswith("examples"):
        shown = f"examples/{Path(target).stem}.md" if "/" in target else "examples/index.md"
    else:
        return link
    return posixpath.relpath(shown, posixpath.dirname(page) or ".")


def reference(module: str) -> str:
    """The page of a module: its docstring and what it exports."""
    names = exported(module)
    members = "".join(f"\n        - {name}" for name in names)
    return f"::: {module}\n    options:\n      members:{members}\n"


def exported(module: str) -> list[str]:
    """Names in ``__all__``; without it, public classes and functions that are defined there."""
    path = ROOT.joinpath(*module.split("."))
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [name for name in ast.literal_eval(node.value) if not name.startswith("_")]
    defined = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    return [name for name in defined if not name.startswith("_")]


def examples() -> dict[str, str]:
    """A page for each example, and one that lists them."""
    pages, lines = {}, ["# Examples\n\nEach runs from a clone of the repository.\n"]
    for path in sorted((ROOT / "examples").iterdir()):
        if path.suffix == ".py":
            text = path.read_text()
            prose = ast.get_docstring(ast.parse(text)) or ""
            body = f"# {path.name}\n\n{prose}\n\n```python\n{text}```\n"
        elif path.suffix == ".ipynb":
            body = f"# {path.name}\n\n" + notebook(json.loads(path.read_text()))
            prose = next((line.strip("# ") for line in body.splitlines()[1:] if line), "")
        else:
            continue
        pages[f"examples/{path.stem}.md"] = body
        lines.append(f"- [{path.name}]({path.stem}.md): {prose.split(chr(10))[0]}")
    return pages | {"examples/index.md": "\n".join(lines) + "\n"}


def notebook(content: dict[str, Any]) -> str:
    """A notebook as Markdown: its prose, its cells, and the text that they gave."""
    parts = []
    for cell in content["cells"]:
        source = "".join(cell["source"])
        parts.append(
            re.sub("^#", "##", source, flags=re.M)
            if cell["cell_type"] == "markdown"
            else f"```python\n{source}\n```"
        )
        for output in cell.get("outputs", ()):
            text = "".join(output.get("text") or output.get("data", {}).get("text/plain", ""))
            if text:
                parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"
