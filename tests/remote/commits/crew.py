"""Processes that commit to one table until they are killed, and begin again.

``python crew.py ENDPOINT FOLDER KILLS COMMITS``. Each writes into a journal what it tries, and what it was
told, before and after. This process has only loaded what they need, so that one is there at once; it never
uses the store itself, which no fork would survive.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import obstore  # noqa: F401 - loaded once for all
from simulate_remote.truth import PATHS, Content, pack_contents, unpack_contents

from audiomem_sql.errors import AudioMemError, BusyError, StorageError
from audiomem_sql.remote.commits import (
    Commit,
    Committer,
    Fold,
    Footprint,
    Manifest,
    ManifestReader,
    NewSegment,
    Unanswered,
    UnknownOutcomeError,
    collect,
    open_store,
)
from remote.commits.servers import BUCKET, OPTIONS

WRITERS = 8
ROWS = 3


def contents_of(reader: ManifestReader, manifest: Manifest) -> list[tuple[int, Content]]:
    """All commits of a version."""
    found: list[tuple[int, Content]] = []
    for entry in manifest.segments:
        found += unpack_contents(reader.read(entry.name), entry.last_version)
    for record in manifest.inline:
        found += unpack_contents(record.record, record.version)
    return found


def segment(data: bytes) -> NewSegment:
    return NewSegment(os.urandom(16), len(data), 1, lambda: [data])


def write(committer: Committer, chance: random.Random, journal: int) -> None:
    """One commit: a row of its own, or a change of one that others change, too."""
    head = committer.refresh()
    commit, content, footprint = committer.new_id(), None, Footprint()
    if chance.random() < 0.3:
        row = chance.randint(1, ROWS)
        count = sum(other.row == row for _, other in contents_of(committer.reader, head)) + 1
        content, footprint = Content(commit, row=row, count=count), Footprint((row,))
    data = pack_contents([(0, content or Content(commit))])
    is_inline = chance.random() < 0.5
    os.write(journal, b"try %s\n" % commit.hex().encode())
    try:
        version = committer.make(
            Commit.on(
                head,
                commit,
                time.time_ns() // 1000,
                footprint=footprint,
                new_rows=1,
                record=data if is_inline else None,
                encoded=lambda: segment(data),
            )
        )
    except (UnknownOutcomeError, Unanswered):
        return
    except BusyError:
        os.write(journal, b"refused %s\n" % commit.hex().encode())
    else:
        os.write(journal, b"done %s %d\n" % (commit.hex().encode(), version))


def join(committer: Committer) -> None:
    """A merge of the first half of the segments."""
    head = committer.refresh()
    if len(head.segments) < 6:
        return
    last = head.segments[len(head.segments) // 2].last_version
    segments = [entry for entry in head.segments if entry.last_version <= last]
    records = [entry for entry in head.inline if entry.version < last]
    contents: list[tuple[int, Content]] = []
    for entry in segments:
        contents += unpack_contents(committer.reader.read(entry.name), entry.last_version)
    contents += [each for entry in records for each in unpack_contents(entry.record, entry.version)]
    names, commits = tuple(entry.name for entry in segments), tuple(entry.commit for entry in records)
    committer.make(Fold(committer.new_id(), names, commits, segment(pack_contents(contents))))


def live(number: int, endpoint: str, folder: Path) -> None:
    """The life of one process."""
    chance = random.Random()
    store = open_store(f"s3://{BUCKET}/crew", endpoint=endpoint, **OPTIONS)
    committer = Committer(store, PATHS.key, seconds=60)
    journal = os.open(folder / f"journal-{number}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while not (folder / "stop").exists():
        try:
            if number == 0:
                collect(committer)
                join(committer)
                time.sleep(0.3)
            else:
                write(committer, chance, journal)
        except (Unanswered, UnknownOutcomeError, BusyError):
            continue
        except StorageError as error:
            if "no longer kept" not in str(error):  # of a version that it read from for too long
                raise


def start(number: int, endpoint: str, folder: Path) -> int:
    """A new process; its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        live(number, endpoint, folder)
        code = 0
    except AudioMemError as error:
        (folder / f"error-{number}").write_text(repr(error))
    finally:
        os._exit(code)


def main() -> int:
    """Until there were so many kills, and so many commits: nothing is told but the number of kills."""
    endpoint, folder, kills, commits = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    processes = {start(number, endpoint, folder): number for number in range(WRITERS)}
    chance, killed = random.Random(), 0
    while killed < kills or acknowledged(folder) < commits:
        time.sleep(0.15)
        if killed < kills:
            pid = chance.choice(list(processes))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            killed += 1
            number = processes.pop(pid)
            processes[start(number, endpoint, folder)] = number
    (folder / "stop").touch()
    failed = [pid for pid in processes if os.waitpid(pid, 0)[1]]
    return len(failed)


def acknowledged(folder: Path) -> int:
    """How many commits were."""
    return sum(path.read_bytes().count(b"done") for path in folder.glob("journal-*"))


if __name__ == "__main__":
    sys.exit(main())
