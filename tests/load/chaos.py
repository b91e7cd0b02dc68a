"""Users of `audiomem serve`, who know each answer, while what it stands on fails: ``make chaos``.

Processes are killed, the disk is full, clients are slow, the cache dies, and bytes of the file are
overwritten and repaired. A request that is broken off is sent again, as proxies and clients do with those
that may be repeated: rows are added with an Idempotency-Key. It fails if it has no answer after six times.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from audiomem_sql.serve.tokens import add_token  # noqa: E402
from audiomem_sql.table.table import Table  # noqa: E402
from load import truth  # noqa: E402
from load.questions import OfAudiomem, Question  # noqa: E402
from load.run import free_port, running  # noqa: E402

ROWS, USERS, WRITERS, TIMES = 5000, 12, 2, 6
_REFUSED = (429, 503, 507)


@dataclass
class Seen:
    """What became of requests. Used by several threads."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    def count(self, what: str, said: str = "") -> None:
        """One more."""
        with self.lock:
            self.counts[what] += 1
            if said and len(self.faults) < 20:
                self.faults.append(f"{what}: {said}")

    @property
    def availability(self) -> float:
        """The share of requests that were answered rightly, or refused cleanly."""
        total = sum(self.counts[each] for each in ("right", "refused", "failed", "wrong"))
        return 1 - (self.counts["failed"] + self.counts["wrong"]) / max(1, total)


class Client:
    """A client of its own connection, which sends again what was broken off."""

    def __init__(self, port: int, token: str, seen: Seen) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._seen = seen

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes] | None:
        """(status, content); None without an answer. What is no answer is counted."""
        said = None if body is None else json.dumps(body)
        for attempt in range(TIMES):
            try:
                self._connection.request(method, path, said, self._headers | headers)
                answer = self._connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException):
                self._connection.close()
                self._seen.count("broken off and sent again")
                time.sleep(0.05 * 2**attempt)
                continue
            if answer.status in _REFUSED and answer.getheader("Retry-After"):
                self._seen.count("refused")
                self._seen.count(f"refused with {answer.status}")
                return None
            return answer.status, content
        self._seen.count("failed", f"{method} {path}: no answer")
        return None


def read_all_the_time(client: Client, questions: OfAudiomem, seen: Seen) -> None:
    """A user: asks, of the local table or the far one, and checks."""
    while not seen.over.is_set():
        question: Question = questions.any()
        path = question.path
        if questions.chance.random() < 0.2:
            path = path.replace("/tables/kb/", "/tables/far/")
        answer = client.ask(question.method, path, question.body, **question.headers)
        if answer is not None:
            judge(seen, path, answer, question.status, question.check)
        time.sleep(questions.chance.random() * 0.2)


def judge(
    seen: Seen, path: str, answer: tuple[int, bytes], status: int, check: Callable[[bytes], bool]
) -> None:
    """Count an answer as right, wrong or failed."""
    if answer[0] != status:
        seen.count("failed", f"{path}: {answer[0]} {answer[1][:300]!r}")
        return
    try:
        is_right = check(answer[1])
    except (ValueError, KeyError, TypeError, IndexError):
        is_right = False
    seen.count("right" if is_right else "wrong", "" if is_right else f"{path}: {answer[1][:300]!r}")


def text_of(key: str) -> str:
    """The text of a row that is added; no compression makes it small."""
    return random.Random(key).randbytes(1500).hex()


def write_all_the_time(client: Client, name: str, seen: Seen, added: dict[str, bool]) -> None:
    """A writer: adds rows, and looks for one that was added.

    added: by key, whether it was said to be there.
    """
    chance, number = random.Random(name), 0
    while not seen.over.is_set():
        key, number = f"{name}-{number}", number + 1
        added[key] = False
        answer = client.ask(
            "POST", "/tables/log/rows", [{"key": key, "text": text_of(key)}], **{"Idempotency-Key": key}
        )
        if answer is not None:
            added[key] = answer[0] in (200, 201)
            seen.count(
                "right" if added[key] else "failed",
                "" if added[key] else f"append: {answer[0]} {answer[1]!r}",
            )
        known = [each for each, is_there in list(added.items()) if is_there and each.startswith(name)]
        if known:
            key = chance.choice(known)
            found = client.ask("GET", f"/tables/log/rows?columns=text&where=key%3D%3F&parameter=%22{key}%22")
            if found is not None:
                judge(seen, key, found, 200, lambda x, k=key: json.loads(x)["rows"] == [{"text": text_of(k)}])
        time.sleep(0.1 + chance.random() * 0.3)


class Chaos:
    """What fails. Each method is one failure, and ends it."""

    def __init__(self, supervisor: int, port: int, redis: int | None, folder: Path) -> None:
        self.chance = random.Random(3)
        self._supervisor = supervisor
        self._port = port
        self._redis = redis
        self._folder = folder
        self.counts: Counter[str] = Counter()

    def any(self, over: threading.Event) -> None:
        """One after another, until it is over."""
        kinds = [self.kill, self.fill, self.be_slow, self.damage]
        if self._redis is not None:
            kinds.append(self.stop_cache)
        while not over.is_set():
            self.chance.shuffle(kinds)
            for kind in kinds:
                if not over.is_set():
                    kind()
                    self.counts[kind.__name__] += 1
                    over.wait(1 + self.chance.random() * 3)

    def kill(self) -> None:
        """A process that answers."""
        children = Path(f"/proc/{self._supervisor}/task/{self._supervisor}/children").read_text().split()
        serving = [each for each in children if "spawn_main" in Path(f"/proc/{each}/cmdline").read_text()]
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(self.chance.choice(serving)), signal.SIGKILL)

    def fill(self) -> None:
        """The disk of the table that is written to."""
        ballast = self._folder / "disk" / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(64 << 10))
        time.sleep(2)
        ballast.unlink(missing_ok=True)

    def be_slow(self) -> None:
        """Clients that say a byte a second, and that take an answer as slowly."""
        request = b"GET /tables/kb/file HTTP/1.1\r\nHost: localhost\r\nX: "
        slow = [socket.create_connection(("127.0.0.1", self._port)) for _ in range(30)]
        for each in slow[15:]:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with contextlib.suppress(OSError):
                each.sendall(request + b"\r\n\r\n")
        for number in range(4):
            for each in slow[:15]:
                with contextlib.suppress(OSError):
                    each.sendall(request[number : number + 1])
            time.sleep(0.5)
        for each in slow:
            each.close()

    def damage(self) -> None:
        """Bytes of the file, which is then repaired."""
        path = self._folder / "kb.flac"
        size = path.stat().st_size
        with path.open("r+b", buffering=0) as file:
            for _ in range(60):
                os.pwrite(
                    file.fileno(), self.chance.randbytes(3), self.chance.randrange(20_000, size - 20_000)
                )
        time.sleep(1)
        command = [sys.executable, "-m", "audiomem_sql", "repair", str(path)]
        repaired = subprocess.run(command, capture_output=True, text=True, check=False)
        if repaired.returncode:
            self.counts[f"repair failed: {repaired.stderr.strip()[-200:]}"] += 1

    def stop_cache(self) -> None:
        """Redis answers no more, and then again."""
        assert self._redis is not None
        os.kill(self._redis, signal.SIGSTOP)
        time.sleep(1.5)
        os.kill(self._redis, signal.SIGCONT)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 16 MiB, where this may be mounted."""
    folder.mkdir()
    mounted = not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], check=False, capture_output=True
    ).returncode
    if not mounted:
        raise SystemExit("a small disk is mounted for this: run it as root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


@contextlib.contextmanager
def world(folder: Path, workers: int) -> Iterator[tuple[int, str, Chaos]]:
    """(port, token, chaos) of a server of three tables: kb, far behind a cache, and log, on a small disk."""
    truth.make_table(folder / "kb.flac", ROWS)
    shutil.copy(folder / "kb.flac", folder / "far.flac")
    Table.create(folder / "disk" / "log.flac", ["key TEXT NOT NULL UNIQUE", "text TEXT"]).close()
    token = add_token(str(folder / "tokens.json"), "chaos", {"*": ["read", "file", "write"]})
    port, origin, cache = free_port(), free_port(), free_port()
    serve = [sys.executable, "-m", "audiomem_sql", "serve"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            running(
                [*serve, str(folder / "far.flac"), "--port", str(origin)],
                f"http://127.0.0.1:{origin}",
                "/health",
                folder / "far.log",
            )
        )
        redis = None
        if shutil.which("redis-server"):
            command = ["redis-server", "--port", str(cache), "--save", "", "--maxmemory", "50mb"]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder)
            stack.callback(process.wait)
            stack.callback(process.kill)
            redis = process.pid
            os.environ["AUDIOMEM_CACHE"] = f"memory:2MB, redis://127.0.0.1:{cache}?pause=2"
        far = f"http://127.0.0.1:{origin}/tables/far/file/far.flac"
        command = [*serve, str(folder / "kb.flac"), str(folder / "disk" / "log.flac"), far]
        command += ["--port", str(port), "--workers", str(workers), "--writable"]
        command += ["--tokens", str(folder / "tokens.json")]
        pid = stack.enter_context(
            running(command, f"http://127.0.0.1:{port}", "/health", folder / "serve.log")
        )
        yield port, token, Chaos(pid, port, redis, folder)


def checked_rows(client: Client, added: dict[str, bool], seen: Seen) -> None:
    """Whether each row that was said to be there is there, and none twice."""
    answer = client.ask("GET", "/tables/log/rows?columns=key&format=ndjson&limit=1000000")
    if answer is None or answer[0] != 200:
        seen.count("failed", f"the rows at the end: {answer}")
        return
    found = Counter(json.loads(line)["key"] for line in answer[1].splitlines())
    for key, is_there in added.items():
        if found[key] > 1 or (is_there and not found[key]):
            seen.count("wrong", f"row {key} is there {found[key]} times; said to be there: {is_there}")
    for key in set(found) - set(added):
        seen.count("wrong", f"row {key} was never added")


def main() -> int:
    """1 below 99.99 % or with a wrong answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    seen, added = Seen(), dict[str, bool]()
    vectors = truth.vectors(ROWS)
    with tempfile.TemporaryDirectory(prefix="audiomem-chaos-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        stack.enter_context(small_disk(folder / "disk"))
        port, token, chaos = stack.enter_context(world(folder, options.workers))
        users = [
            threading.Thread(
                target=read_all_the_time,
                args=(
                    Client(port, token, seen),
                    OfAudiomem(ROWS, random.Random(number), vectors, None),
                    seen,
                ),
            )
            for number in range(USERS)
        ]
        users += [
            threading.Thread(
                target=write_all_the_time, args=(Client(port, token, seen), f"w{number}", seen, added)
            )
            for number in range(WRITERS)
        ]
        users.append(threading.Thread(target=chaos.any, args=(seen.over,)))
        for each in users:
            each.start()
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(options.minutes * 60)
        seen.over.set()
        for each in users:
            each.join()
        checked_rows(Client(port, token, seen), added, seen)
        if seen.counts["failed"] or seen.counts["wrong"]:
            errors = [line for line in (folder / "serve.log").read_text().splitlines() if line[:1] != "{"]
            print("\n".join(errors[-60:]))
    for what, count in sorted((seen.counts + chaos.counts).items()):
        print(f"{count:>9,} {what}")
    print("\n".join(seen.faults))
    print(f"availability {seen.availability:.4%}, wrong {seen.counts['wrong']}")
    return int(seen.availability < 0.9999 or seen.counts["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())
