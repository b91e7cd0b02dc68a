"""A change is compared with its base: what is slower, and what is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import compare
from benchmarks.kernels import Kernels

DUMP = """# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 7
cmd:  python
part: {part}

desc: I1 cache:
desc: Trigger: {trigger}

events: Ir
summary: {total}

fn=(1) main
16 {total}
totals: {total}
"""


def test_counts_of_kernels_that_both_have() -> None:
    base = {"scan": 1_000_000, "gone": 5, "commit": 200}
    costs = compare.by_counts(base, {"commit": 220, "scan": 1_110_000, "new": 7})
    assert [(cost.kernel, cost.base, cost.change) for cost in costs] == [
        ("commit", 200, 220),
        ("scan", 1e6, 1.11e6),
    ]
    assert [cost.slower for cost in costs] == [False, True]


def test_what_is_quicker_is_no_failure() -> None:
    (cost,) = compare.by_counts({"scan": 100}, {"scan": 10})
    assert not cost.slower


def test_times_by_the_median_of_ratios() -> None:
    # The machine was busy for the first pairs: their times are long, and their ratios say little.
    steady = [(1.0, 1.02), (1.1, 1.12), (1.2, 1.22), (9.0, 1.0), (1.0, 9.0)]
    slowed = [(before, 1.3 * before) for before, _ in steady]
    costs = compare.by_times({"steady": steady, "slowed": slowed})
    assert [cost.slower for cost in costs] == [False, True]
    assert costs[0].ratio == pytest.approx(1.02, abs=0.005)
    assert costs[1].ratio == pytest.approx(1.3)


def test_the_report_names_what_is_slower() -> None:
    costs = compare.by_counts({"scan": 1_000_000, "commit": 200}, {"scan": 1_500_000, "commit": 200})
    text = compare.report(costs, "instructions")
    assert text.splitlines()[1].split() == ["scan", "1.00", "M", "1.50", "M", "1.500", "slower"]
    assert text.splitlines()[-1] == "more than 10% slower: scan"
    assert compare.report(costs[1:], "instructions").splitlines()[-1] == "none is more than 10% slower"


def test_what_callgrind_wrote(tmp_path: Path) -> None:
    for part, (trigger, total) in enumerate(
        [
            ("Client Request: import", 70),
            ("Client Request: read 50 rows", 4_000_000_000),
            ("Program termination", 9),
        ],
        1,
    ):
        path = tmp_path / f"counts.{part}"
        path.write_text(DUMP.format(part=part, trigger=trigger, total=total))
    (tmp_path / "log").write_text("==7== Callgrind")
    assert compare.dumped(tmp_path) == {"import": 70, "read 50 rows": 4_000_000_000}


@pytest.mark.parametrize(("times", "code"), [(1.0, 0), (1.09, 0), (1.12, 1), (3.0, 1)])
def test_a_slowed_kernel_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], times: float, code: int
) -> None:
    """All but the measuring: the base is checked out, and one kernel costs ``times`` as much."""
    counted = {"import": 1_000_000, "filter": 500_000}
    trees: list[Path] = []

    def counts(given: tuple[Path, Path], folder: Path) -> list[dict[str, int]]:
        trees.extend(given)
        assert all((tree / "audiomem_sql" / "__init__.py").is_file() for tree in given)
        return [counted, counted | {"filter": round(500_000 * times)}]

    monkeypatch.setattr(compare, "counts", counts)
    monkeypatch.setattr(compare.shutil, "which", lambda program: program)
    monkeypatch.setattr("sys.argv", ["compare", "--base", "HEAD"])
    assert compare.main() == code
    assert ("more than 10% slower: filter" in capsys.readouterr().out) == bool(code)
    assert trees[1] == compare.ROOT
    assert not trees[0].exists()


def test_every_kernel_runs(tmp_path: Path) -> None:
    kernels = Kernels(str(tmp_path))
    results = {name: kernel() for name, kernel in kernels.all.items()}
    assert len(results["search by words"]) == len(results["search by vectors"]) == 10
    assert 0 < len(results["filter"]) < 200
    assert sum(results["scan a text column"]) == 1500
