"""Load on `audiomem serve`, then the same on datasette and on Chroma's server: ``make load``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from load import truth  # noqa: E402

#: What fills Chroma, in the environment in which it is installed.
_FILL = """
import json, sys
sys.path.insert(0, sys.argv[1])
import chromadb
from load import truth
client = chromadb.PersistentClient(sys.argv[2])
made = client.create_collection("rows", metadata={"hnsw:space": "cosine"})
for batch in truth.batches(int(sys.argv[3]), 2000):
    made.add(
        ids=[str(row["id"]) for row in batch],
        documents=[row["body"] for row in batch],
        metadatas=[{"title": row["title"], "year": row["year"]} for row in batch],
        embeddings=[row["vec"] for row in batch],
    )
print(made.id)
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], address: str, path: str, log: Path) -> Iterator[int]:
    """A server, once it answers at ``path``; its process."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env=os.environ | {"ANONYMIZED_TELEMETRY": "0"}
        )
    try:
        end = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(address + path, timeout=5).close()
                break
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{command[0]} does not begin:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def processor_seconds(pid: int) -> float:
    """What a process and those that it started have taken."""
    total, pids = 0, [pid]
    while pids:
        each = pids.pop()
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{each}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
                pids += [int(child) for child in (task / "children").read_text().split()]
    return total / 1e9


def made_database(path: Path, rows: int) -> None:
    """The rows for datasette."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE kb (id INTEGER PRIMARY KEY, title TEXT, body TEXT, year INTEGER)")
        for batch in truth.batches(rows):
            database.executemany("INSERT INTO kb VALUES (:id, :title, :body, :year)", batch)
        database.execute('CREATE VIRTUAL TABLE kb_fts USING fts5(body, content="kb", content_rowid=id)')
        database.execute("INSERT INTO kb_fts(kb_fts) VALUES ('rebuild')")
        database.commit()


def server_of(
    name: str, folder: Path, options: argparse.Namespace
) -> tuple[list[str], str, str, dict[str, Any]]:
    """How a server with the rows is started: command, address, path that answers, further settings."""
    port = free_port()
    address, bins = f"http://127.0.0.1:{port}", Path(options.peers) / "bin"
    if name == "audiomem":
        file = folder / "kb.flac"
        truth.make_table(file, options.rows)
        command = [sys.executable, "-m", "audiomem_sql", "serve", str(file), "--port", str(port)]
        return [*command, "--workers", str(options.workers)], address, "/ready", {"file": str(file)}
    if name == "datasette":
        made_database(folder / "kb.db", options.rows)
        command = [str(bins / "datasette"), "serve", "-i", str(folder / "kb.db"), "--port", str(port)]
        return [*command, "--setting", "sql_time_limit_ms", "30000"], address, "/kb.json", {}
    filled = subprocess.run(
        [str(bins / "python"), "-c", _FILL, str(HERE.parent), str(folder / "chroma"), str(options.rows)],
        check=True,
        capture_output=True,
        text=True,
    )
    command = [str(bins / "chroma"), "run", "--path", str(folder / "chroma"), "--port", str(port)]
    return command, address, "/api/v2/heartbeat", {"collection": filled.stdout.split()[-1]}


def measured(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What the users of a server saw."""
    command, address, path, more = server_of(name, folder, options)
    result = folder / f"{name}.json"
    settings = {"server": name, "rows": options.rows, "think": options.think, "result": str(result), **more}
    with running(command, address, path, folder / f"{name}.log") as pid:
        before = processor_seconds(pid)
        locust = [
            str(Path(options.peers) / "bin" / "locust"),
            "-f",
            str(HERE / "locustfile.py"),
            "--headless",
        ]
        locust += ["--host", address, "-u", str(options.users), "-r", str(max(1, options.users // 5))]
        locust += ["-t", f"{options.seconds}s", "--only-summary", "--exit-code-on-error", "0", "-L", "ERROR"]
        subprocess.run(
            locust,
            check=True,
            env=os.environ | {"AUDIOMEM_LOAD": json.dumps(settings)},
            stdout=(folder / f"{name}.out").open("wb"),
            stderr=subprocess.STDOUT,
        )
        seen: dict[str, Any] = json.loads(result.read_text())
        seen["seconds"] = processor_seconds(pid) - before
    return seen


def told(name: str, seen: dict[str, Any]) -> Iterator[str]:
    """The lines of the table."""
    counts = seen["counts"]
    for kind, of in seen["kinds"].items():
        line = (
            f"{name:10} {'all' if kind == 'Aggregated' else kind:8} {of['requests']:>8,} {of['rate']:>8.1f}"
        )
        yield f"{line} {of['p50']:>8,} {of['p99']:>8,} {of['failures']:>8,}"
    total = seen["kinds"]["Aggregated"]
    errors = total["failures"] - counts["wrong"] - counts["refused"]
    each = 1000 * seen["seconds"] / max(1, total["requests"])
    said = f"{name:10} refused {counts['refused']}, errors {errors}, wrong {counts['wrong']}"
    yield f"{said}; {each:.2f} ms of processor a request"


def main() -> int:
    """1 if `audiomem serve` gave a wrong answer, or an error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--think", type=float, default=1.0)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--peers", required=True, help="The environment that has locust, datasette and chromadb."
    )
    parser.add_argument("--servers", default="audiomem,datasette,chroma")
    options = parser.parse_args()
    failed = False
    print(f"{options.users} users, {options.seconds} s, {options.rows:,} rows; load {os.getloadavg()[0]:.1f}")
    print(
        f"{'':10} {'':8} {'requests':>8} {'a second':>8} {'p50 ms':>8} {'p99 ms':>8} {'failed':>8}",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="audiomem-load-") as folder:
        for name in options.servers.split(","):
            seen = measured(name, Path(folder), options)
            print("\n".join(told(name, seen)), flush=True)
            if name == "audiomem":
                failed = seen["kinds"]["Aggregated"]["failures"] > seen["counts"]["refused"]
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
