"""Schemathesis on a server that writes: ``make serve-schema``. Arguments are those of ``st run``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from audiomem_sql.ingest.ingestion import DEFAULT_COLUMNS
from audiomem_sql.serve.tokens import add_token
from audiomem_sql.table.table import Table
from serve.conftest import make_table, serving

#: All checks but one, none of them weaker than it comes: no answer 5xx, whatever is asked. The schema cannot
#: say which names columns have, nor what a condition, SQL or a version is: what it allows may be refused.
CONFIG = """
[checks]
positive_data_acceptance.enabled = false
negative_data_rejection.expected-statuses = ["4xx"]
"""


def main() -> int:
    """The exit code of schemathesis."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Table.create(folder / "docs.flac", DEFAULT_COLUMNS).close()
        tokens = str(folder / "tokens.json")
        token = add_token(tokens, "schema", {"*": ["read", "file", "write"]})
        (folder / "schemathesis.toml").write_text(CONFIG)
        places = make_table(folder / "kb.flac"), folder / "docs.flac"
        with serving(*places, tokens=tokens, writable=True) as server:
            command = [
                str(Path(sys.executable).with_name("st")),
                "--config-file",
                str(folder / "schemathesis.toml"),
            ]
            command += ["run", f"{server.address}/openapi.json", "-H", f"Authorization: Bearer {token}"]
            command += ["--max-examples", "10", "--phases", "examples,coverage,fuzzing", *sys.argv[1:]]
            return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
