"""A folder of hostile files is ingested: in bounds, each named with its reason and counted, the rest read.

The table of docs/INGEST.md is what is asserted here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import audiomem_sql as am

from .hostile_folder import made

ADDRESSES = 6 << 30
MEMORY_KIB = 3 << 19
PROCESSOR_SECONDS = 300

ENTITY = r"declares an entity \(\w+\), which no document needs"
#: What is said of each file, and whether it counts in the exit code; a star stands for its endings.
SAID = {
    "bomb-flat.zip!a.txt": (r"it has 100 MiB|what is inside expands to more than \d+ MiB", True),
    "bomb-nested.zip": (r"what is inside expands to more than \d+ MiB", True),
    "bomb-overlapping.zip": (r"what is inside expands to more than \d+ MiB", True),
    "bomb.7z": (r"it expands to 100 MiB", True),
    "bomb.txt.gz": (r"the content is larger than \d+ MiB", True),
    "laughs.*": (ENTITY, True),
    "outside.*": (ENTITY, True),
    "deep.docx": (r"elements inside elements, more than 1000 deep", True),
    "encrypted.zip!secret.txt": (r"it is encrypted", True),
    "encrypted.pdf": (r"it is protected by a password", True),
    "encrypted.7z": (r"it is encrypted", True),
    "cut.*": (r"cannot be read|cannot read|is not JSON|ends in the middle|unexpected end", True),
    "nothing.txt": (r"binary: it has NUL bytes", True),
    "nothing.csv": (r"binary: it has NUL bytes", True),
    "nothing.pdf": (r"this is no PDF file", True),
    "denied.txt": (r"cannot be read \(Input/output error\)", True),
    "itself.txt": (r"a link to nothing", False),
    "there.txt": (r"a link to nothing", False),
    "back.txt": (r"a link to nothing", False),
    "gone.txt": (r"a link to nothing", False),
    "zeros.txt": (r"not a regular file", False),
    "pipe.txt": (r"not a regular file", False),
    "socket.txt": (r"not a regular file", False),
}
READ = {
    "docs/good.md": "Still here.",
    "docs/zz/good.txt": "Still here, too.",
    "docs/caf\\xe9.txt": "No UTF-8 in the name.",
    "docs/leading-out.tar": "climbed",
    "docs/leading-out.zip": "climbed",
    "docs/link-leading-out.tar": "text",
}


#: Runs the rest of its arguments under limits, and says how they ended and how much memory they took. It is
#: a small process: the memory of one that is forked is counted for the program that it becomes.
LIMITED = f"""
import json, resource, subprocess, sys

def limit():
    resource.setrlimit(resource.RLIMIT_AS, ({ADDRESSES}, {ADDRESSES}))
    resource.setrlimit(resource.RLIMIT_CPU, ({PROCESSOR_SECONDS}, {PROCESSOR_SECONDS}))

done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=limit)
most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([json.loads(done.stdout), done.returncode, most]))
"""


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], int, int]:
    """The folder, the facts that are printed, the exit code, and the most memory in KiB."""
    top = tmp_path_factory.mktemp("hostile")
    made(top / "in" / "docs")
    command = [sys.executable, "-m", "audiomem_sql", "ingest", "kb.flac", "docs", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *command], cwd=top / "in", stdout=subprocess.PIPE, check=True
    )
    facts, code, memory = json.loads(done.stdout)
    return top, facts, code, memory


def test_it_ends_in_bounds_and_the_exit_code_tells(ingested: tuple[Path, Any, int, int]) -> None:
    _, _, code, memory = ingested
    assert code == 1
    assert memory < MEMORY_KIB


def test_each_is_named_with_its_reason(ingested: tuple[Path, Any, int, int]) -> None:
    folder, facts, _, _ = ingested
    told: dict[str, list[tuple[str, bool]]] = {}
    for each in facts["sources"]["skipped"]:
        told.setdefault(each["source"].removeprefix("docs/"), []).append((each["reason"], each["failed"]))
    expected = {
        name: SAID.get(name) or SAID[f"{name.partition('.')[0]}.*"]
        for name in told
        if name in SAID or f"{name.partition('.')[0]}.*" in SAID
    }
    for name, (reason, failed) in expected.items():
        assert any(re.search(reason, said) and counts is failed for said, counts in told[name]), name
    there = os.listdir(folder / "in" / "docs")
    for name in (*SAID, *there):
        if name.endswith(".*") or (f"{name.partition('.')[0]}.*" not in SAID and name not in SAID):
            continue
        assert any(each == name or each.startswith(f"{name}!") for each in told), name


def test_the_rest_is_ingested(ingested: tuple[Path, Any, int, int]) -> None:
    folder, _, _, _ = ingested
    with am.open(folder / "in" / "kb.flac") as table:
        sources = table.sources
        small = [row for row in table.to_arrow(["source", "body"]).to_pylist() if len(row["body"]) < 100]
        for source, text in READ.items():
            assert text in [row["body"] for row in small if row["source"] == source], source
            assert source in sources


def test_nothing_is_written_beside_the_table(ingested: tuple[Path, Any, int, int]) -> None:
    folder, _, _, _ = ingested
    assert sorted(os.listdir(folder)) == ["in"]
    assert sorted(os.listdir(folder / "in")) == ["docs", "kb.flac"]
    assert not any(Path(top, "out.txt").exists() for top in ("/", "/tmp", folder, folder / "in"))
