"""What is found in files of many kinds, by ours and by other readers: ``make compare-documents``.

    python -m benchmarks.documents [--python markitdown=PATH] [--python unstructured=PATH]
        [--python langchain=PATH] [--page docs/INGEST.md]

Every file has planted words, each in a place of its own: a heading, a cell, a footnote, a comment. A word
counts where the text that a tool gives for that file has it. Others run by a Python of their own, which has
them; ripgrep where it is installed. With ``--page`` the table takes the place of the one in that page.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.document_files import make_folder

#: What every reader reads: one that does not lacks something, and would be shown as one that finds nothing.
FIRST = "text.txt"
MARKS = ("<!-- documents -->", "<!-- /documents -->")

#: What each of the others runs: it is given a folder, and prints the text of each file by its name.
_RUN = """
import json, sys, warnings, logging
from pathlib import Path
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
{setup}
top, texts = Path(sys.argv[1]), {{}}
for path in sorted(top.rglob("*")):
    if path.is_file():
        try:
            texts[path.relative_to(top).as_posix()] = read(path)
        except Exception as error:
            if path.name == {first!r}:
                sys.exit(f"{{type(error).__name__}}: {{error}}")
print("\\n" + json.dumps(texts))
"""
SETUP = {
    "markitdown": """
from markitdown import MarkItDown
converter = MarkItDown()
def read(path):
    found = converter.convert(str(path))
    return f"{found.title or ''}\\n{found.text_content}"
""",
    "unstructured": """
from unstructured.partition.auto import partition
def read(path):
    return "\\n".join(element.text for element in partition(filename=str(path), languages=["eng"]))
""",
    "langchain": """
import langchain_community.document_loaders as loaders
BY_SUFFIX = {
    ".pdf": loaders.PyPDFLoader, ".docx": loaders.Docx2txtLoader, ".html": loaders.BSHTMLLoader,
    ".csv": loaders.CSVLoader, ".ipynb": lambda path: loaders.NotebookLoader(path, include_outputs=True),
    ".srt": loaders.SRTLoader, ".py": loaders.PythonLoader,
}
def read(path):
    loader = BY_SUFFIX.get(path.suffix, lambda name: loaders.TextLoader(name, autodetect_encoding=True))
    found = loader(str(path)).load()
    return "\\n".join(f"{each.page_content} {each.metadata.get('title', '')}" for each in found)
""",
}


def ours(folder: Path) -> dict[str, str]:
    """What one command puts into a table."""
    import audiomem_sql as am

    file = folder.parent / "kb.flac"
    command = [sys.executable, "-m", "audiomem_sql", "ingest", str(file), str(folder), "--no-words"]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    texts: dict[str, str] = {}
    with am.open(file) as table:
        for row in table.to_arrow(["source", "title", "body"]).to_pylist():
            name = Path(row["source"]).relative_to(folder.name).as_posix()
            texts[name] = f"{texts.get(name, '')}\n{row['title'] or ''}\n{row['body']}"
    return texts


def theirs(python: str, setup: str, folder: Path) -> dict[str, str]:
    """What another one reads. SystemExit with its reason if it cannot even read plain text."""
    command = [python, "-c", _RUN.format(setup=setup, first=FIRST), str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{python} cannot read {FIRST}: {done.stderr.strip().splitlines()[-1]:.500}")
    texts: dict[str, str] = json.loads(done.stdout.rpartition("\n{")[2].join(("{", "")))
    return texts


def ripgrep(folder: Path, words: Mapping[str, list[str]]) -> dict[str, str]:
    """What ripgrep finds, in compressed files, too."""
    patterns = [argument for every in words.values() for word in every for argument in ("-e", word)]
    command = ["rg", "--search-zip", "--only-matching", "--with-filename", "--no-line-number", *patterns, "."]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    texts: dict[str, str] = {}
    for line in done.stdout.splitlines():
        name, _, word = line.removeprefix("./").rpartition(":")
        texts[name] = f"{texts.get(name, '')} {word}"
    return texts


def table(words: Mapping[str, list[str]], found: Mapping[str, Mapping[str, str]]) -> str:
    """Kind by tool, as Markdown."""
    tools = list(found)
    lines = [f"| file | words | {' | '.join(tools)} |", f"|---|---|{'---|' * len(tools)}"]
    sums = dict.fromkeys(tools, 0)
    for name, planted in words.items():
        counts = [sum(word in found[tool].get(name, "") for word in planted) for tool in tools]
        sums = {tool: sums[tool] + count for tool, count in zip(tools, counts, strict=True)}
        lines.append(f"| `{name}` | {len(planted)} | {' | '.join(str(count or '') for count in counts)} |")
    total = sum(map(len, words.values()))
    whole = " | ".join(f"**{count}**" for count in sums.values())
    return "\n".join([*lines, f"| **{len(words)} files** | **{total}** | {whole} |"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--python", action="append", default=[], metavar="TOOL=PATH")
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="audiomem-documents-") as top:
        folder = Path(top) / "docs"
        folder.mkdir()
        words = make_folder(folder)
        found = {"audiomem": ours(folder)}
        for each in asked.python:
            tool, _, python = each.partition("=")
            found[tool] = theirs(python, SETUP[tool], folder)
        if shutil.which("rg"):
            found["ripgrep"] = ripgrep(folder, words)
    made = table(words, found)
    print(made)
    missed = [
        f"{name}: {word}"
        for name, every in words.items()
        for word in every
        if word not in found["audiomem"].get(name, "")
    ]
    print("missed:", *missed, sep="\n  ", file=sys.stderr)
    if asked.page is not None:
        before, _, rest = asked.page.read_text().partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        asked.page.write_text(f"{before}{MARKS[0]}\n{made}\n{MARKS[1]}{after}")


if __name__ == "__main__":
    main()
