"""A process that adds rows to a sharded table and copies it to a store, again and again, until it is killed.

``python sharded_crew.py FOLDER URL``. It says each version that was copied.
"""

from __future__ import annotations

import sys

import audiomem_sql as am
from audiomem_sql.errors import AudioMemError

ROWS = 8


def rows_of(version: int) -> list[dict[str, object]]:
    """What a version adds, to most of the shards."""
    return [{"code": f"v{version}-{number}", "n": version} for number in range(ROWS)]


def main(folder: str, url: str) -> None:
    with am.open(folder) as table:
        while True:
            table.append(rows_of(table.version + 1))
            try:
                table.backup(url)
            except AudioMemError as error:
                import traceback

                traceback.print_exc()
                print("failed", error, flush=True)
            else:
                print("copied", table.version, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
