"""Choose what ``make quick`` leaves out: ``python tools/slow_tests.py REPORT.xml [SECONDS]``.

The report is pytest's, of a run of all tests (``make test ARGS=--junitxml=build/tests.xml``). Functions are
taken in from the quickest on, until all their cases together need SECONDS of one core; the names of the
others are written to tests/slow.txt, which tests/conftest.py reads. A name counts wherever it stands, so that
tests can move to other modules.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

LIST = Path(__file__).resolve().parent.parent / "tests" / "slow.txt"
#: Of one core: with two, and the collection of all tests, less than a minute.
BUDGET = 55.0


def seconds(report: Path) -> Counter[str]:
    """Of all cases of each test function; of a state machine, of its class."""
    spent: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        name = case.attrib["name"].partition("[")[0]
        if name == "runTest":
            name = case.attrib["classname"].rpartition(".")[2]
        spent[name] += float(case.attrib["time"])
    return spent


def slow(spent: Counter[str], budget: float) -> list[str]:
    """The names that do not fit into ``budget`` seconds with all that are quicker, in alphabetical order."""
    names = []
    for name, time in sorted(spent.items(), key=lambda item: item[1]):
        budget -= time
        if budget < 0:
            names.append(name)
    return sorted(names)


def main(report: str, budget: str = str(BUDGET)) -> None:
    """Write the list."""
    names = slow(seconds(Path(report)), float(budget))
    LIST.write_text("".join(f"{name}\n" for name in names))
    print(f"{len(names)} functions are slow")


if __name__ == "__main__":
    main(*sys.argv[1:])
