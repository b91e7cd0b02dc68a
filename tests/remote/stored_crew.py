"""Processes that write to one table in a store through ``Table`` until they are killed, and begin again.

``python stored_crew.py URL FOLDER KILLS``. Each writes into a journal what it tries, and what it was told,
before and after. This process has only loaded what they need, so that one is there at once; it never uses the
store itself, which no fork would survive.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import obstore  # noqa: F401 - loaded once for all

import audiomem_sql as am
from audiomem_sql.errors import AudioMemError, BusyError
from audiomem_sql.remote import RemoteFile  # noqa: F401
from audiomem_sql.remote.commits import Committer  # noqa: F401
from audiomem_sql.shards import remote_files  # noqa: F401
from audiomem_sql.table import stored_session, stored_sharded_session  # noqa: F401

WRITERS = 2


def count_up(table: am.Table, token: str) -> int:
    """A row is added, and the row that all count in is one more, in one transaction."""
    transaction = table.begin()
    try:
        row = transaction.snapshot.stored_row(1)
        assert row is not None
        transaction.update(1, 1, [1, "count", "", row[3] + 1])
        transaction.insert(int(token, 16), [int(token, 16), token, "counted", 0])
        return table.commit(message=token)
    except BaseException:
        table.rollback()
        raise


def append(table: am.Table, token: str, size: int) -> int:
    return table.append([{"token": token, "kind": "x" * size, "n": 0}], message=token)


def upkeep(table: am.Table, chance: random.Random) -> None:
    try:
        chance.choice([table.checkpoint, table.merge, table.vacuum])()
    except BusyError:
        return


def writer(url: str, journal: int, seed: int) -> None:
    chance = random.Random(seed)
    table = am.Table(url)
    while True:
        kind = chance.choices(["count", "small", "large", "upkeep"], [4, 3, 2, 1])[0]
        if kind == "upkeep":
            upkeep(table, chance)
            continue
        token = f"{chance.getrandbits(56) | 1 << 56:x}"
        os.write(journal, f"try {kind} {token}\n".encode())
        try:
            if kind == "count":
                version = count_up(table, token)
            else:
                version = append(table, token, 90_000 if kind == "large" else 10)
        except BusyError:
            os.write(journal, f"busy {kind} {token}\n".encode())
        except AudioMemError as error:
            os.write(journal, f"unknown {kind} {token} {error!s:.300}\n".replace("\n", " ").encode() + b"\n")
        else:
            os.write(journal, f"done {kind} {token} {version}\n".encode())


def started(url: str, folder: Path, number: int) -> int:
    child = os.fork()
    if child:
        return child
    journal = os.open(folder / f"journal{number}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        writer(url, journal, number)
    except BaseException as error:
        os.write(journal, f"broken {error!r:.400}\n".encode())
    os._exit(1)


def wait_for_one(journal: Path) -> None:
    """Until one commit was acknowledged, which a busy machine may take its time for."""
    for _ in range(500):
        if journal.exists() and "\ndone" in journal.read_text():
            return
        time.sleep(0.01)


def main(url: str, folder: Path, kills: int) -> None:
    chance, numbers = random.Random(1), iter(range(1 << 30))
    crew = [started(url, folder, next(numbers)) for _ in range(WRITERS)]
    newest = list(range(WRITERS))
    for number in range(WRITERS, WRITERS + kills):
        place = chance.randrange(WRITERS)
        wait_for_one(folder / f"journal{newest[place]}")
        time.sleep(chance.uniform(0, 0.5))
        newest[place] = number
        os.kill(crew[place], signal.SIGKILL)
        os.waitpid(crew[place], 0)
        crew[place] = started(url, folder, next(numbers))
    time.sleep(1)
    for child in crew:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
