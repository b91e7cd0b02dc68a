"""obstore's own stores, and what becomes of their errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from audiomem_sql.errors import StorageError, UnsupportedError
from audiomem_sql.remote.commits import Mark, ObstoreStore, Unanswered, check_conditions, open_store
from remote.commits.proxy import proxied

from .contract import ObjectStoreContract


class TestMemory(ObjectStoreContract):
    @pytest.fixture
    def store(self) -> ObstoreStore:
        return open_store("memory:///")


def test_a_folder_cannot_be_written_to(tmp_path: Path) -> None:
    """obstore does not replace files on a condition."""
    store = open_store(tmp_path.as_uri())
    with pytest.raises(UnsupportedError, match="the store cannot do this") as refused:
        check_conditions(store, "kb.flac")
    assert refused.value.remedy == "Write to a store with conditional writes; this one can be read."
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_store_without_etags() -> None:
    with pytest.raises(UnsupportedError, match="no ETag"):
        open_store("memory:///").put_if_match("kb.flac", b"", Mark())


@pytest.mark.parametrize("url", ["kb.flac", "ftp://host/kb", "s3:/bucket"])
def test_what_is_no_store(url: str) -> None:
    with pytest.raises(UnsupportedError, match="no store of objects"):
        open_store(url)


def test_no_signature_in_a_message() -> None:
    """A store that is not there, with a URL that is a secret."""
    options = {"max_retries": 0}
    with proxied("http://127.0.0.1:1", rate=1.0) as proxy:
        store = open_store(
            f"{proxy.endpoint}/kb?X-Amz-Signature=secret",
            retry_config=options,
            client_options={"allow_http": True},
        )
        with pytest.raises((Unanswered, StorageError)) as failed:
            store.get("flac")
    assert "secret" not in str(failed.value)
    assert "secret" not in store.name


def test_a_forked_process_is_told() -> None:
    code = (
        "import os\n"
        "from audiomem_sql.remote.commits import open_store\n"
        "store = open_store('memory:///')\n"
        "store.put_if_absent('a', b'x')\n"
        "if not os.fork():\n"
        "    try:\n"
        "        store.get('a')\n"
        "    except Exception as error:\n"
        "        print(error, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "memory:: the process was forked after its parent read from a store" in done.stdout


def test_the_name_is_the_url(tmp_path: Path) -> None:
    assert open_store(f"{tmp_path.as_uri()}/").name == tmp_path.as_uri()
    assert os.listdir(tmp_path) == []
