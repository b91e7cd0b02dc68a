"""moto and SeaweedFS: the contract, and eight processes that are killed while the network fails.

``AUDIOMEM_REMOTE_KILLS`` and ``AUDIOMEM_REMOTE_COMMITS`` say how many of each, for each store, in a long run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from simulate_remote.truth import PATHS

from audiomem_sql.remote.commits import Committer, ObstoreStore, collect, open_store
from audiomem_sql.remote.commits.paths import BASE
from remote.commits.proxy import proxied
from remote.commits.servers import BUCKET, OPTIONS, STORES

from .contract import ObjectStoreContract
from .crew import contents_of

KILLS = int(os.environ.get("AUDIOMEM_REMOTE_KILLS", "25"))
COMMITS = int(os.environ.get("AUDIOMEM_REMOTE_COMMITS", "100"))


@pytest.fixture(scope="module", params=STORES)
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with STORES[request.param](tmp_path_factory.mktemp(request.param)) as endpoint:
        yield endpoint


class TestS3(ObjectStoreContract):
    @pytest.fixture
    def store(self, endpoint: str) -> ObstoreStore:
        return open_store(f"s3://{BUCKET}/contract", endpoint=endpoint, **OPTIONS)

    def test_half_uploaded_parts(self, store: ObstoreStore, key: str) -> None:
        boto3, bucket, folder = store._boto3()
        name = f"{key}.d/seg/00000001-{'0' * 32}.flac"
        boto3.create_multipart_upload(Bucket=bucket, Key=folder + name)
        (upload,) = store.uploads(f"{key}.d/seg/")
        assert upload.key == name
        committer = Committer(store, key)
        committer.create(os.urandom(16))
        assert collect(committer).uploads == 1
        assert store.uploads(f"{key}.d/seg/") == []


def test_eight_processes_that_are_killed(endpoint: str, tmp_path: Path) -> None:
    store = open_store(f"s3://{BUCKET}/crew", endpoint=endpoint, **OPTIONS)
    last = Committer(store, PATHS.key)
    last.create(os.urandom(16), retention=5)
    with proxied(endpoint, rate=0.1) as proxy:
        script = str(Path(__file__).with_name("crew.py"))
        command = [sys.executable, script, proxy.endpoint, str(tmp_path), str(KILLS), str(COMMITS)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        errors = [path.read_text() for path in tmp_path.glob("error-*")]
        assert done.returncode == 0, (done.stderr, errors)
        proxy.wait_until_idle()
    assert min(proxy.counts.values()) > 0

    words = [line.split() for path in tmp_path.glob("journal-*") for line in path.read_text().splitlines()]
    acknowledged = {each[1]: int(each[2]) for each in words if each[0] == "done"}
    refused = {each[1] for each in words if each[0] == "refused"}
    assert len(acknowledged) >= COMMITS

    manifest = last.refresh()
    contents = contents_of(last.reader, manifest)
    there = {content.commit.hex(): version for version, content in contents}
    assert len(there) == len(contents), "a commit is there twice"
    assert {commit: there.get(commit) for commit in acknowledged} == acknowledged
    assert not refused & there.keys()
    assert there.keys() <= {each[1] for each in words}
    assert sorted(there.values()) == list(range(1, manifest.version + 1))
    changes = sorted((version, content) for version, content in contents if content.row)
    counts: Counter[int] = Counter()
    for _, content in changes:
        counts[content.row] += 1
        assert content.count == counts[content.row], "a change was made to a row that had changed"

    collect(last)
    left = {key.removeprefix(PATHS.segments) for key in store.keys(PATHS.segments)}
    assert left == last.refresh().names - {BASE}
    assert store.uploads(PATHS.segments) == []
    print(f"{len(acknowledged)} acknowledged, {len(there)} made, {len(refused)} refused; {proxy.counts}")
