"""``python -m tests.remote.commits.rate``: commits a second to SeaweedFS where each request takes 60 ms."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).parents[2]))

import audiomem_sql as am
from audiomem_sql.remote.commits import Commit, Committer, open_store
from remote.commits.proxy import Proxy, proxied
from remote.commits.servers import BUCKET, OPTIONS, seaweed

_DELAY = 0.06


def committer(proxy: Proxy, key: str, *, is_new: bool = True) -> Committer:
    store = open_store(f"s3://{BUCKET}/{key}", endpoint=proxy.endpoint, **OPTIONS)
    one = Committer(store, "data/kb.flac")
    if is_new:
        one.create(os.urandom(16))
    return one


def small(one: Committer) -> Commit:
    assert one.head is not None
    return Commit.on(one.head.manifest, one.new_id(), 0, record=b"x" * 100, new_rows=1)


def alone(proxy: Proxy, count: int) -> float:
    """One writer, one commit after another."""
    one = committer(proxy, "alone")
    started = time.monotonic()
    for _ in range(count):
        one.make(small(one))
    return count / (time.monotonic() - started)


def racing(proxy: Proxy, count: int, folder: Path) -> float:
    """Eight processes, of which one collects and merges; half of the commits are segments."""
    committer(proxy, "crew")
    script = str(Path(__file__).with_name("crew.py"))
    started = time.monotonic()
    subprocess.run([sys.executable, script, proxy.endpoint, str(folder), "0", str(count)], check=True)
    done = sum(path.read_bytes().count(b"done") for path in folder.glob("journal-*"))
    return done / (time.monotonic() - started)


def together(proxy: Proxy, count: int, durability: Literal["sync", "async"]) -> float:
    """Sixteen threads of one process that append a row each, in groups."""
    os.environ.update(
        AWS_ENDPOINT_URL=proxy.endpoint,
        AWS_ALLOW_HTTP="true",
        AWS_REGION=OPTIONS["region"],
        AWS_ACCESS_KEY_ID=OPTIONS["access_key_id"],
        AWS_SECRET_ACCESS_KEY=OPTIONS["secret_access_key"],
    )
    url = f"s3://{BUCKET}/{durability}/kb.flac"
    am.create(url, ["id INTEGER PRIMARY KEY", "v TEXT"]).close()
    with am.open(url, durability=durability) as table, ThreadPoolExecutor(16) as pool:
        started = time.monotonic()
        list(pool.map(lambda number: table.append([{"id": number, "v": "x" * 90}]), range(count)))
        table.flush()
        return count / (time.monotonic() - started)


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, journals = Path(place, "store"), Path(place, "journals")
        folder.mkdir()
        journals.mkdir()
        with seaweed(folder) as endpoint, proxied(endpoint, delay=_DELAY) as proxy:
            print(f"one writer: {alone(proxy, 30):.1f} commits/s")
            print(f"8 racing processes: {racing(proxy, 40, journals):.1f} commits/s")
            print(f"16 threads in groups: {together(proxy, 200, 'sync'):.0f} commits/s")
            print(f"16 threads, durability=async: {together(proxy, 400, 'async'):.0f} commits/s")


if __name__ == "__main__":
    main()
