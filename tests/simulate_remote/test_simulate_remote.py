"""Seeds of ``make simulate-remote``; that a seed says everything; and whether mistakes are noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from audiomem_sql.remote.commits import changes, collecting, committer
from audiomem_sql.remote.commits.manifest import Footprint, Manifest
from simulate_remote.run import run

SEEDS = 200


def test_seeds() -> None:
    outcomes = [run(seed) for seed in range(SEEDS)]
    failures = [outcome for outcome in outcomes if outcome.failure]
    assert not failures, "\n".join([f"seed {failures[0].seed}", *failures[0].log, str(failures[0].failure)])
    assert sum(outcome.acknowledged for outcome in outcomes) > 10 * SEEDS


def test_a_seed_is_the_same_run_every_time() -> None:
    """Whatever ran before it in the same process."""
    digests = [run(seed).digest for seed in range(20)]
    assert digests == [run(seed).digest for seed in reversed(range(20))][::-1]
    assert len(set(digests)) == 20


def _never_settled(self: Any, head: Any) -> bool:
    self._doubt = None
    return False


def _newest_version(self: Manifest, commit: bytes) -> int | None:
    return self.version if any(done.commit == commit for done in self.recent) else None


def _forgetful_epoch(self: Any, head: Manifest, uploaded: object) -> Manifest:
    return replace(head, epoch=head.epoch + 1, retired=())


def _same_epoch(self: Any, head: Manifest, uploaded: object) -> Manifest:
    kept = tuple(entry for entry in head.retired if head.version - entry.version <= head.retention)
    return replace(head, retired=kept)


def _nothing_meets(self: Footprint, other: Footprint) -> str:
    return ""


def _any_upload(name: str) -> int:
    return -1


@pytest.mark.parametrize(
    ("where", "name", "mistake"),
    [
        (committer._Attempt, "_settled", _never_settled),
        (Manifest, "version_of", _newest_version),
        (changes.NewEpoch, "apply", _forgetful_epoch),
        (changes.NewEpoch, "apply", _same_epoch),
        (Footprint, "meets", _nothing_meets),
        (collecting, "epoch_of", _any_upload),
    ],
    ids=["own id", "version", "retention", "epoch", "conflict", "names"],
)
def test_a_mistake_is_noticed(
    monkeypatch: pytest.MonkeyPatch, where: object, name: str, mistake: Callable[..., Any]
) -> None:
    monkeypatch.setattr(where, name, mistake)
    assert any(run(seed).failure for seed in range(SEEDS))
