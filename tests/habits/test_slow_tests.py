"""What ``make quick`` leaves out."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tools import slow_tests

ROOT = Path(__file__).parents[2]
REPORT = """<testsuites><testsuite>
<testcase classname="tests.a.test_a" name="test_one[x]" time="1.5" />
<testcase classname="tests.a.test_a" name="test_one[y[0]]" time="2.0" />
<testcase classname="tests.b.test_b" name="test_two" time="0.25"><failure /></testcase>
<testcase classname="tests.b.test_b.TestWrites" name="runTest" time="9" />
</testsuite></testsuites>"""


def test_the_quickest_are_kept() -> None:
    spent = Counter({"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0})
    assert slow_tests.slow(spent, 6.0) == ["d"]
    assert slow_tests.slow(spent, 5.9) == ["c", "d"]
    assert slow_tests.slow(spent, 0.5) == ["a", "b", "c", "d"]


def test_cases_are_added_up(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    assert slow_tests.seconds(report) == {"test_one": 3.5, "test_two": 0.25, "TestWrites": 9.0}


def test_the_list_names_tests_that_there_are() -> None:
    defined: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        defined.update(re.findall(r"^ *(?:async )?(?:def|class) (\w+)", path.read_text(), re.MULTILINE))
        defined.update(re.findall(r"^(Test\w+) = ", path.read_text(), re.MULTILINE))
    names = slow_tests.LIST.read_text().split()
    assert names == sorted(set(names))
    assert set(names) - defined == set(), "renamed or gone: correct tests/slow.txt"


def test_a_test_in_the_list_is_marked(request: pytest.FixtureRequest) -> None:
    names = slow_tests.LIST.read_text().split()
    assert request.session.items
    for item in request.session.items:
        name = item.name.partition("[")[0]
        name = item.parent.name if name == "runTest" and item.parent is not None else name
        assert (item.get_closest_marker("slow") is not None) == (name in names)
