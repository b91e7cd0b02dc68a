"""A folder of files that attack whoever reads it, and two that are harmless."""

from __future__ import annotations

import gzip
import io
import os
import socket
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .office_files import MAKERS, changed, pdf
from .test_archives import tarred
from .test_hostile_documents import PARTS
from .test_packed_archives import rarred, seven_zipped

GIB = 1 << 30
LAUGHS = "".join(f'<!ENTITY l{n} "' + f"&l{n - 1};" * 10 + '">' for n in range(1, 10))
BOMB = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">{LAUGHS}]><x>&l9;</x>'
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>'


def zipped(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return made.getvalue()


def nested_bomb() -> bytes:
    """Zip files in zip files, 16 in each: 160 GiB on the fourth level."""
    data = zipped({"a.txt": b"a" * (40 << 20)})
    for _ in range(3):
        data = zipped({f"{number}.zip": data for number in range(16)})
    return data


def overlapping_bomb() -> bytes:
    """A thousand entries in the list of members that are one and the same member."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"a" * (34 << 20))
        archive.filelist.extend(archive.filelist * 1000)
    return made.getvalue()


def encrypted_zip() -> bytes:
    data = bytearray(zipped({"secret.txt": b"secret"}))
    data[data.rindex(b"PK\1\2") + 8] |= 1
    return bytes(data)


def parquet() -> bytes:
    made = io.BytesIO()
    pq.write_table(pa.table({"text": ["row"] * 1000}), made)
    return made.getvalue()


def whole() -> dict[str, bytes]:
    """A file of each kind that can be cut in two."""
    members = {f"{number}.txt": f"text {number} ".encode() * 200 for number in range(20)}
    tar = tarred(members)
    return {
        **{kind: maker() for kind, maker in MAKERS.items()},
        "zip": zipped(members),
        "tar": tar,
        "tgz": gzip.compress(tar),
        "7z": seven_zipped(members),
        "rar": rarred(members),
        "txt.gz": gzip.compress(os.urandom(999).hex().encode()),
        "parquet": parquet(),
        "ipynb": b'{"cells": [{"cell_type": "markdown", "source": ["# A"]}], "nbformat": 4, "metadata": {}}',
    }


def link_leading_out() -> bytes:
    """A tar file with a link that leads out of it, and a file behind the link."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        link = tarfile.TarInfo("way")
        link.type, link.linkname = tarfile.SYMTYPE, "/tmp"
        archive.addfile(link)
        info = tarfile.TarInfo("way/out.txt")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"text"))
    return stream.getvalue()


def made(folder: Path) -> None:
    """Fill ``folder``."""
    put = {
        "good.md": b"# Good\n\nStill here.\n",
        "zz/good.txt": b"Still here, too.\n",
        "bomb-flat.zip": zipped({"a.txt": b"a" * (100 << 20)}),
        "bomb-nested.zip": nested_bomb(),
        "bomb-overlapping.zip": overlapping_bomb(),
        "bomb.7z": seven_zipped({"a.txt": bytes(100 << 20)}),
        "bomb.txt.gz": gzip.compress(b" " * (1 << 20), 1) * 1100,
        **{f"laughs.{kind}": changed(MAKERS[kind](), {part: BOMB}) for kind, part in PARTS.items()},
        **{f"outside.{kind}": changed(MAKERS[kind](), {part: OUTSIDE}) for kind, part in PARTS.items()},
        "deep.docx": changed(MAKERS["docx"](), {PARTS["docx"]: "<p>" * 100_000}),
        "deep.json": b"[" * 1_000_000,
        "encrypted.zip": encrypted_zip(),
        "encrypted.pdf": pdf(password="secret"),
        "encrypted.7z": seven_zipped({"a.txt": b"secret"}, "secret"),
        "leading-out.tar": tarred({"../../out.txt": b"climbed", "/out.txt": b"from the root"}),
        "link-leading-out.tar": link_leading_out(),
        "leading-out.zip": zipped({"../../out.txt": b"climbed", "/out.txt": b"from the root"}),
        **{f"cut.{kind}": data[: len(data) // 2 - 7] for kind, data in whole().items()},
    }
    for name, data in put.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for kind in ("txt", "csv", "pdf"):  # holes: they take no place on the disk
        with open(folder / f"nothing.{kind}", "wb") as stream:
            stream.truncate(GIB)
    with open(os.fsencode(folder) + b"/caf\xe9.txt", "wb") as stream:
        stream.write(b"No UTF-8 in the name.\n")
    for name, target in {
        "loop": ".", "up": "..", "itself.txt": "itself.txt", "there.txt": "back.txt", "back.txt": "there.txt",
        "gone.txt": "nowhere", "zeros.txt": "/dev/zero", "denied.txt": "/proc/self/mem",
    }.items():  # fmt: skip
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(folder / "socket.txt"))
