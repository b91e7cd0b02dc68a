"""Twenty users at once, who know each answer."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from serve.conftest import Running, serving

from load import truth
from load.questions import KINDS, OfAudiomem

ROWS, USERS, QUESTIONS = 1000, 20, 8

VECTORS = truth.vectors(ROWS)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("load") / "kb.flac"
    truth.make_table(made, ROWS)
    return made


def asked(server: Running, path: Path, number: int) -> list[str]:
    """The kinds of questions that a user asked."""
    questions = OfAudiomem(ROWS, random.Random(number), VECTORS, path.read_bytes())
    kinds = []
    with httpx.Client(base_url=server.address, timeout=60) as client:
        for _ in range(QUESTIONS):
            question = questions.any()
            answer = client.request(
                question.method, question.path, json=question.body, headers=dict(question.headers)
            )
            assert answer.status_code == question.status, answer.text
            assert question.check(answer.content), (question.path, question.body, answer.text[:500])
            kinds.append(question.kind)
    return kinds


def test_every_answer_is_right(path: Path) -> None:
    with serving(path) as server, ThreadPoolExecutor(USERS) as users:
        kinds = {kind for each in users.map(lambda n: asked(server, path, n), range(USERS)) for kind in each}
    assert kinds == set(KINDS)


def test_a_wrong_answer_is_noticed(path: Path) -> None:
    questions = OfAudiomem(ROWS, random.Random(1), VECTORS, path.read_bytes())
    with serving(path) as server:
        for kind in KINDS:
            asked, other = getattr(questions, kind)(), getattr(questions, kind)()
            answer = server.client.request(
                other.method, other.path, json=other.body, headers=dict(other.headers)
            )
            assert other.check(answer.content)
            assert not asked.check(answer.content)
