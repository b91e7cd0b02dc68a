"""`make documents`: documents of LibreOffice and pandoc, and each kind with bytes changed at random."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from ingest.documents.office_files import MAKERS, pandoc
from ingest.documents.test_hostile_documents import attempt
from ingest.documents.test_office import documents, made

SECONDS = float(os.environ.get("AUDIOMEM_FUZZ_SECONDS", "60"))
#: What LibreOffice makes of what, and what has to be in it.
CONVERSIONS = {
    "docx": (
        ("odt", "rtf", "doc", "pdf", "epub", "docx", "dotx", "ott"),
        ("Bergen", "12.50", "copper", "Pipes"),
    ),
    "xlsx": (("ods", "xls"), ("Ink", "42", "plumber")),
    "pptx": (("odp", "ppt", "pptx", "pdf"), ("Roadmap", "with tests", "Rent", "900")),
    "odt": (("docx", "doc", "rtf", "pdf"), ("Loam", "almanac", "spade", "Beans")),
}


def converted(source: Path, kind: str) -> bytes:
    """What LibreOffice makes of a document."""
    folder = source.parent
    command = ["soffice", "--headless", f"-env:UserInstallation={(folder / 'profile').as_uri()}"]
    command += ["--convert-to", kind, "--outdir", str(folder / kind), str(source)]
    subprocess.run(command, capture_output=True, check=True, timeout=120)
    return (folder / kind / f"{source.stem}.{kind}").read_bytes()


@pytest.mark.parametrize("kind", CONVERSIONS)
def test_libreoffice(kind: str, tmp_path: Path) -> None:
    kinds, words = CONVERSIONS[kind]
    source = tmp_path / f"source.{kind}"
    source.write_bytes(made(kind))
    for other in kinds:
        found = documents(converted(source, other), f"a.{other}")
        text = "\n".join(f"{d.title} {s.heading} {s.text}" for d in found for s in d.sections)
        assert [word for word in words if word not in text] == [], (other, text)


@pytest.mark.parametrize("kind", ["docx", "odt", "rtf", "epub", "pptx"])
def test_pandoc(kind: str) -> None:
    found = documents(pandoc(kind), f"a.{kind}")
    text = "\n".join(f"{d.title} {s.heading} {s.text}" for d in found for s in d.sections)
    for word in ("Before.", "Summer", "Łódź, Москва, 東京, 🚢", "north", "Child", "Not on Sundays"):
        assert word in text, (kind, word, text)


@pytest.mark.parametrize("kind", MAKERS)
def test_bytes_changed_at_random(kind: str) -> None:
    data = made(kind)
    dice = random.Random(kind + str(time.time_ns()))
    end = time.monotonic() + SECONDS / len(MAKERS)
    while time.monotonic() < end:
        bad = bytearray(data)
        for _ in range(dice.choice((1, 4, 40))):
            bad[dice.randrange(len(bad))] = dice.randrange(256)
        started = time.process_time()
        found = attempt(kind, bytes(bad))
        assert found is None or found.file == f"a.{kind}"
        assert time.process_time() - started < 20


def test_memory_and_time_of_a_bomb(tmp_path: Path) -> None:
    """A gigabyte of spaces in 1 MB of zip: refused within 256 MiB more than what the process has anyhow."""
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with zipfile.ZipFile(io.BytesIO(made("docx"))) as good:
            archive.writestr("[Content_Types].xml", good.read("[Content_Types].xml"))
            archive.writestr("_rels/.rels", good.read("_rels/.rels"))
        with archive.open("word/document.xml", "w") as part:
            part.write(b"<p><t>")
            for _ in range(300):
                part.write(b"x" * (1 << 20))
    code = (
        "import resource, sys\n"
        "from audiomem_sql.errors import LimitError\n"
        "from audiomem_sql.ingest.documents.content import Content\n"
        "from audiomem_sql.ingest.documents.registry import readers\n"
        "from pathlib import Path\n"
        "try:\n"
        "    list(readers()['word'].documents(Content('a.docx', Path(sys.argv[1]))))\n"
        "except LimitError as error:\n"
        "    print(error, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    said, _, memory = done.stdout.strip().rpartition(" ")
    assert "more than" in said
    assert int(memory) < (700 << 10) * (1024 if sys.platform == "darwin" else 1)
