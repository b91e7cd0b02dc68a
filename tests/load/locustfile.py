"""Users of `audiomem serve`, datasette or Chroma's server, who know each answer: ``make load``.

AUDIOMEM_LOAD: JSON with server, rows, think (seconds between two requests), file, collection, result.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from locust import FastHttpUser, between, events, task

from load import truth
from load.questions import OfAudiomem, OfChroma, OfDatasette, Question, Questions

SETTINGS = json.loads(os.environ["AUDIOMEM_LOAD"])
ROWS, THINK = int(SETTINGS["rows"]), float(SETTINGS["think"])
VECTORS = truth.vectors(ROWS)
CONTENT = Path(SETTINGS["file"]).read_bytes() if SETTINGS["server"] == "audiomem" else None
COUNTS = {"wrong": 0, "refused": 0}


def questions(chance: random.Random) -> Questions:
    """The questions of one user."""
    if SETTINGS["server"] == "audiomem":
        return OfAudiomem(ROWS, chance, VECTORS, CONTENT)
    if SETTINGS["server"] == "datasette":
        return OfDatasette(ROWS, chance)
    return OfChroma(ROWS, chance, VECTORS, SETTINGS["collection"])


class Asking(FastHttpUser):
    """Asks, checks the answer, thinks, asks again."""

    wait_time = between(THINK / 2, 3 * THINK / 2)
    network_timeout = connection_timeout = 60.0
    count = 0

    def on_start(self) -> None:
        """Have questions of one's own."""
        Asking.count += 1
        self.questions = questions(random.Random(Asking.count))

    @task
    def ask(self) -> None:
        """One request. The time of a range is that to its first byte."""
        question = self.questions.any()
        with self.client.request(
            question.method,
            question.path,
            name=question.kind,
            json=question.body,
            headers=dict(question.headers),
            catch_response=True,
            stream=question.kind == "range",
        ) as answer:
            said = self.fault(question, answer)
            if said is None:
                answer.success()
            else:
                answer.failure(said)

    @staticmethod
    def fault(question: Question, answer: Any) -> str | None:
        """What is wrong with an answer."""
        status = answer.status_code
        if status in (429, 503) and answer.headers.get("Retry-After"):
            COUNTS["refused"] += 1
            return "refused"
        if status != question.status:
            return f"error {status}"
        try:
            is_right = question.check(answer.content or b"")
        except (ValueError, KeyError, TypeError, IndexError):
            is_right = False
        if not is_right:
            COUNTS["wrong"] += 1
            return "wrong"
        return None


@events.quitting.add_listener
def _write(environment: Any, **_: Any) -> None:
    stats = environment.stats
    each = {
        entry.name: {
            "requests": entry.num_requests,
            "failures": entry.num_failures,
            "rate": entry.total_rps,
            "p50": entry.get_response_time_percentile(0.5),
            "p99": entry.get_response_time_percentile(0.99),
        }
        for entry in (*stats.entries.values(), stats.total)
    }
    Path(SETTINGS["result"]).write_text(json.dumps({"counts": COUNTS, "kinds": each}))
