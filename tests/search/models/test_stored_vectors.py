"""The user's file of vectors: used, shared, bounded, and never in the way."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from audiomem_sql.arrays import F32Array
from audiomem_sql.errors import OptionError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.search.models import stored_vectors
from audiomem_sql.search.models.embedders import CachedEmbedder, HashingEmbedder
from audiomem_sql.search.models.stored_vectors import (
    ENVIRONMENT,
    FILE_NAME,
    LIMIT_ENVIRONMENT,
    StoredEmbedder,
    StoredVectors,
    cache_file,
    cache_limit,
)

MEGABYTE = 1 << 20
TEXTS = ["How do I reset a password?", "", "The cat sat on the mat.", "naïve café 🎼", "\ud800"]


class Counting(HashingEmbedder):
    """Says what it was asked for."""

    def __init__(self, digest: bytes = b"0123456789abcdef") -> None:
        self.seen: list[str] = []
        self.digest = digest

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> F32Array:
        self.seen += texts
        return super().embed([text.replace("\ud800", "?") for text in texts], progress)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "cache"))
    monkeypatch.delenv(LIMIT_ENVIRONMENT, raising=False)
    return tmp_path / "cache" / FILE_NAME


def some(count: int, first: int = 0, size: int = 384) -> dict[bytes, F32Array]:
    return {
        number.to_bytes(16, "little"): np.random.default_rng(number).normal(size=size).astype(np.float32)
        for number in range(first, first + count)
    }


def test_a_text_is_embedded_once_on_a_machine(file: Path) -> None:
    first = Counting()
    vectors = StoredEmbedder(first).embed(TEXTS)
    assert sorted(first.seen) == sorted(TEXTS)
    for order in (TEXTS, TEXTS[::-1], [TEXTS[2]], [TEXTS[0]] * 3):
        again = Counting()
        expected = np.stack([vectors[TEXTS.index(text)] for text in order])
        assert np.array_equal(StoredEmbedder(again).embed(order), expected)
        assert again.seen == []
    assert StoredEmbedder(Counting()).embed([]).shape == (0, 256)
    partly = Counting()
    assert np.array_equal(StoredEmbedder(partly).embed([TEXTS[0], "new"])[0], vectors[0])
    assert partly.seen == ["new"]


def test_other_weights_and_settings_have_vectors_of_their_own(file: Path) -> None:
    StoredEmbedder(Counting()).embed(TEXTS)
    for other in (StoredEmbedder(Counting(b"another digest..")), StoredEmbedder(Counting(), lambda: b"url")):
        other.embed(TEXTS)
        assert len(other._embedder.seen) == len(TEXTS)  # type: ignore[attr-defined]


def test_nobody_else_may_read_it_and_it_holds_no_text(file: Path) -> None:
    StoredEmbedder(Counting()).embed(["a very secret sentence"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"secret" not in file.read_bytes()
    assert os.listdir(file.parent) == [FILE_NAME]


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_file() == tmp_path / "audiomem-sql" / FILE_NAME
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv(ENVIRONMENT, "~/vectors")
    assert cache_file() == tmp_path / "home" / "vectors" / FILE_NAME
    for word in ("off", "OFF", "no", "none", "0"):
        monkeypatch.setenv(ENVIRONMENT, word)
        assert cache_file() is None
    counting = Counting()
    for _ in range(2):
        StoredEmbedder(counting).embed(["a"])
    assert counting.seen == ["a", "a"]
    assert list(tmp_path.iterdir()) == []


def test_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LIMIT_ENVIRONMENT, raising=False)
    assert cache_limit() == 512 * MEGABYTE
    monkeypatch.setenv(LIMIT_ENVIRONMENT, "3")
    assert cache_limit() == 3 * MEGABYTE
    for wrong in ("0", "-1", "much", "1.5", "²", "9" * 20):
        monkeypatch.setenv(LIMIT_ENVIRONMENT, wrong)
        with pytest.raises(OptionError, match=LIMIT_ENVIRONMENT):
            cache_limit()


def test_the_oldest_vectors_go_when_it_is_full(file: Path) -> None:
    store = StoredVectors(file, 2 * MEGABYTE)
    for first in range(0, 4000, 200):
        store.put(some(200, first))
        assert file.stat().st_size <= 2.5 * MEGABYTE
    everything = some(4000)
    kept = store.get(list(everything), 384)
    assert 700 < len(kept) < 1400
    assert list(some(200, 3800)) == [key for key in some(200, 3800) if key in kept]
    assert set(some(2000)).isdisjoint(kept)
    assert all(np.array_equal(vector, everything[key]) for key, vector in kept.items())
    StoredVectors(file, MEGABYTE // 4).put(some(10, 9000))  # a lower limit from now on
    assert file.stat().st_size <= MEGABYTE // 2
    assert len(store.get(list(some(10, 9000)), 384)) == 10


def test_damage_is_found_and_the_file_begun_again(file: Path) -> None:
    vectors = some(300)
    store = StoredVectors(file, 64 * MEGABYTE)
    store.put(vectors)
    whole = file.read_bytes()
    rng = random.Random(5)
    removed = 0
    for case in range(60):
        changed = bytearray(whole)
        if case % 3 == 0:
            changed[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        elif case % 3 == 1:
            start = rng.choice((0, rng.randrange(len(whole))))
            changed[start : start + 600] = rng.randbytes(len(changed[start : start + 600]))
        else:
            changed = changed[: rng.randrange(len(whole))]
        file.write_bytes(changed)
        found = store.get(list(vectors), 384)
        assert all(np.array_equal(vector, vectors[key]) for key, vector in found.items())
        removed += not file.exists()
        store.put(vectors)  # finds what get did not
        store.put(vectors)
        again = store.get(list(vectors), 384)
        assert all(np.array_equal(vector, vectors[key]) for key, vector in again.items())
        file.unlink(missing_ok=True)
        store.put(vectors)
        assert len(store.get(list(vectors), 384)) == 300
    assert removed > 30


def test_a_changed_vector_is_never_given(file: Path) -> None:
    vectors = some(3)
    store = StoredVectors(file, 64 * MEGABYTE)
    store.put(vectors)
    with sqlite3.connect(file) as database:
        database.execute("UPDATE vectors SET vector = zeroblob(384 * 4 + 8) WHERE number = 2")
    database.close()
    assert store.get(list(vectors)[:1], 384).keys() == set(list(vectors)[:1])
    assert store.get(list(vectors), 384) == {}
    assert not file.exists()


def test_vectors_of_another_length_are_not_there(file: Path) -> None:
    store = StoredVectors(file, 64 * MEGABYTE)
    store.put(some(3))
    assert store.get(list(some(3)), 383) == {}
    assert len(store.get(list(some(3)), 384)) == 3


def test_it_is_never_in_the_way(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = HashingEmbedder().embed(["a", "b"])
    file.mkdir(parents=True)  # a folder is in its place
    assert np.array_equal(StoredEmbedder(Counting()).embed(["a", "b"]), expected)
    file.rmdir()
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE vectors(of_somebody_else)")
    other.close()
    assert np.array_equal(StoredEmbedder(Counting()).embed(["a", "b"]), expected)
    assert file.exists()
    file.unlink()
    (tmp_path / "plain").write_text("a file, and no folder")
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "plain"))
    assert np.array_equal(StoredEmbedder(Counting()).embed(["a", "b"]), expected)
    assert (tmp_path / "plain").read_text() == "a file, and no folder"


def test_it_is_locked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_vectors, "_BUSY_SECONDS", 0.05)
    StoredEmbedder(Counting()).embed(["a"])
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    counting = Counting()
    StoredEmbedder(counting).embed(["a", "b"])
    assert sorted(counting.seen) == ["a", "b"]
    other.execute("ROLLBACK")
    other.close()
    again = Counting()
    StoredEmbedder(again).embed(["a", "b"])
    assert again.seen == ["b"]


def test_progress_counts_what_was_known(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_vectors, "TEXTS_AT_ONCE", 3)
    StoredEmbedder(Counting()).embed(["a", "b"])
    seen: list[tuple[int, int]] = []
    StoredEmbedder(Counting()).embed(list("abcdefg"), lambda done, total: seen.append((done, total)))
    assert seen == [(2, 7), (5, 7)]


def test_what_was_done_before_a_failure_is_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Counting):
        def embed(self, texts: Sequence[str], progress: Progress | None = None) -> F32Array:
            if "dddd" in texts:
                raise RuntimeError("out of memory")
            return super().embed(texts, progress)

    monkeypatch.setattr(stored_vectors, "TEXTS_AT_ONCE", 2)
    with pytest.raises(RuntimeError):
        StoredEmbedder(Failing()).embed(["dddd", "ccc", "bb", "a"])
    counting = Counting()
    StoredEmbedder(counting).embed(["dddd", "ccc", "bb", "a"])
    assert counting.seen == ["ccc", "dddd"]


WRITER = """
import sys
from pathlib import Path
import numpy as np
from audiomem_sql.search.models.stored_vectors import StoredVectors
store, first = StoredVectors(Path(sys.argv[1]), 4 << 20), int(sys.argv[2])
for round in range(int(sys.argv[3])):
    made = {}
    for number in range(first + round % 7 * 40, first + round % 7 * 40 + 40):
        vector = np.random.default_rng(number).normal(size=384)
        made[number.to_bytes(16, "little")] = vector.astype(np.float32)
    store.put(made)
    for key, vector in store.get(list(made), 384).items():
        assert np.array_equal(vector, made[key])
    print(round, flush=True)
"""


def writer(file: Path, first: int, rounds: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(file), str(first), str(rounds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_several_processes_one_of_which_is_killed(file: Path) -> None:
    file.parent.mkdir()
    others = [writer(file, first, 10) for first in (0, 100)]
    rng = random.Random(3)
    for _ in range(3):
        killed = writer(file, 5000, 100_000)
        assert killed.stdout is not None
        killed.stdout.readline()
        time.sleep(rng.random() / 10)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    for other in others:
        assert (other.communicate()[1], other.returncode) == ("", 0)
    known = StoredVectors(file, 4 * MEGABYTE).get(list(some(380)) + list(some(280, 5000)), 384)
    everything = some(380) | some(280, 5000)
    assert len(known) >= 200
    assert all(np.array_equal(vector, everything[key]) for key, vector in known.items())
    with sqlite3.connect(file) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


def test_a_model_tells_its_window_through_both_memories() -> None:
    class Cut(Counting):
        window = 12

        def token_spans(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))]

    cut, whole = (CachedEmbedder(StoredEmbedder(each)) for each in (Cut(), Counting()))
    assert (cut.window, cut.token_spans("some")) == (12, [(0, 4)])
    assert (whole.window, whole.token_spans("some")) == (None, None)
    assert (cut.name, cut.dimensions, cut.digest) == ("hashing", 256, b"0123456789abcdef")
