"""Where the functions of DuckDB's second C API stand that the extension uses.

It prints ``vtab/native/duckdb_v2_places.h``.

That API has no stable order yet, so each release of DuckDB has its own. Run with the source distributions of
the releases, as ``pip download --no-deps --no-binary :all:`` or PyPI's page of duckdb gives them::

    python -m tools.duckdb_places duckdb-2.0.0.tar.gz duckdb-2.0.1.tar.gz > vtab/native/duckdb_v2_places.h
"""

from __future__ import annotations

import re
import sys
import tarfile
from pathlib import Path

HEADER = "src/include/duckdb_extension_v2.h"
SOURCES = Path(__file__).parent.parent / "vtab" / "native"


def used() -> list[str]:
    """The functions that the sources call, without the prefix of all."""
    text = "".join(path.read_text() for path in sorted(SOURCES.glob("duckdb_v2*.[ch]")))
    return sorted(set(re.findall(r"\bV2\((\w+),", text)) - {"name"})


def places(header: str) -> dict[str, int]:
    """The place of each function in the table of a release, by its name without the prefix of all."""
    table = re.search(r"typedef struct \{(.*?)\} duckdb_ext_api_v2;", header, re.DOTALL)
    if table is None:
        raise SystemExit("this header has no table of functions")
    return {name: place for place, name in enumerate(re.findall(r"\(\*duckdb_v2_(\w+)\)", table[1]))}


def release(archive: str) -> tuple[str, str]:
    """(release, header) of a source distribution."""
    with tarfile.open(archive) as files:
        for member in files:
            if member.name.endswith(HEADER):
                found = files.extractfile(member)
                if found is not None:
                    return member.name.split("/")[0].removeprefix("duckdb-"), found.read().decode()
    raise SystemExit(f"{archive} has no {HEADER}")


def main(archives: list[str]) -> None:
    """Print the header."""
    print("/* Places of functions in DuckDB's second C API, by release: made by tools/duckdb_places.py. */")
    for number, archive in enumerate(archives):
        name, header = release(archive)
        major, minor, patch = map(int, name.split("."))
        known = places(header)
        print(f"#{'el' if number else ''}if AUDIOMEM_DUCKDB == {major * 10000 + minor * 100 + patch}")
        print(f'#define V2_RELEASE "v{name}"')
        lines = [f"  PLACE_{function} = {known[function]}," for function in used()]
        print("\n".join(["enum {", *lines, f"  V2_FUNCTIONS = {len(known)}", "};"]))
    print('#else\n#error "there are no places for this release of DuckDB"\n#endif')


if __name__ == "__main__":
    main(sys.argv[1:])
