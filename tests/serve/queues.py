"""Queues, and workers of jobs, on loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.remote.tiers.places import free_port, redis_command, running

REDELIVER_AFTER = 2


@contextlib.contextmanager
def redis_queue() -> Iterator[str]:
    """A Redis of its own; its address."""
    port = free_port()
    with running(redis_command(port), port):
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def rabbit_queue() -> Iterator[str]:
    """A RabbitMQ of its own; its address. Not the service of the machine, which may run or not."""
    port, distribution, mapper = free_port(), free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="audiomem-rabbit-") as folder:
        environment = os.environ | {
            "HOME": folder,
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",  # so that it ends while it still knows the server
            "RABBITMQ_NODENAME": f"audiomem{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_CONFIG_FILE": f"{folder}/none",
        }
        log = Path(folder) / "out"
        with log.open("wb") as out:
            server = subprocess.Popen(
                ["/usr/lib/rabbitmq/bin/rabbitmq-server"],
                env=environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            end = time.monotonic() + 60
            while b"completed with" not in log.read_bytes():
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield f"amqp://guest:guest@127.0.0.1:{port}//"
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            subprocess.run(["epmd", "-port", str(mapper), "-kill"], stdout=subprocess.DEVNULL, check=False)


@contextlib.contextmanager
def worker(
    queue: str, *places: Path, redeliver_after: float = REDELIVER_AFTER
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker, ended at the end; one that waits for jobs takes a second to be there."""
    command = [sys.executable, "-m", "audiomem_sql", "worker", *map(str, places), "--queue", queue]
    process = subprocess.Popen([*command, "--redeliver-after", str(redeliver_after)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()
