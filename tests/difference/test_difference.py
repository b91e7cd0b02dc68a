"""A short run of the difference test, and what the long one rests on."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiomem_sql.errors import DataTypeError

from .__main__ import main
from .known import RULES, known
from .run import Case, minimise, replay, run
from .sides import Sides
from .steps import KINDS, Difference, Step, Tally

SEEDS = range(14)
_DOCS = Path(__file__).parents[2] / "docs"


def test_a_short_run_has_no_difference() -> None:
    """Every kind has its share."""
    tally = Tally()
    for seed in SEEDS:
        case = run(seed)
        assert not case.difference, f"case {seed}\n{case.difference}"
        tally.add(case.tally)
    assert tally.statements > 5000
    assert {kind for kind in KINDS if tally.kinds[kind] < 0.05 * tally.statements} == set(), tally
    assert {"compared with no time", "NULL in a trigger"} <= tally.rules.keys() <= RULES.keys()


@pytest.mark.parametrize("rule", sorted(RULES))
def test_what_is_known_is_in_the_documentation(rule: str) -> None:
    page, sentence = RULES[rule]
    assert " ".join(sentence.split()) in " ".join((_DOCS / page).read_text().split())


def test_one_seed_is_one_run() -> None:
    first, second = run(3, 60), run(3, 60)
    assert list(map(str, first.steps)) == list(map(str, second.steps))
    assert str(first.tally) == str(second.tally)
    assert list(map(str, run(4, 60).steps)) != list(map(str, first.steps))


@pytest.mark.parametrize(
    ("ours", "native", "ordered"),
    [
        ("SELECT 1", "SELECT 2", False),
        ("SELECT 1", "SELECT 1.0", False),
        ("SELECT 0.0", "SELECT -0.0", False),
        ("SELECT 'a'", "SELECT x'61'", False),
        ("SELECT NULL", "SELECT 1 WHERE 0", False),
        ("SELECT 1 UNION ALL SELECT 2", "SELECT 2 UNION ALL SELECT 1", True),
        ("SELECT 1 UNION ALL SELECT 1", "SELECT 1", False),
        ("SELECT abs(-9223372036854775807 - 1)", "SELECT 1", False),
        ("SELECT 1", "SELECT nope", False),
        ("BEGIN", "SELECT 1", False),
    ],
)
def test_a_difference_is_one(ours: str, native: str, ordered: bool) -> None:
    with Sides(True) as sides, pytest.raises(Difference):
        sides.step(Step("query", ours, native, ordered=ordered))


def test_constraints_have_to_be_the_same() -> None:
    for clause in ("NOT NULL", "UNIQUE", "CHECK (a > 5)"):
        with Sides(True) as sides:
            for each in (
                f"CREATE TABLE t(a INTEGER {clause}, b INTEGER {clause})",
                "INSERT INTO t VALUES (7, 7)",
            ):
                sides.step(Step("schema", each, each))
            values = {"NOT NULL": ("NULL, 8", "8, NULL"), "UNIQUE": ("7, 8", "8, 7")}.get(
                clause, ("1, 8", "8, 1")
            )
            same = f"INSERT INTO t VALUES ({values[0]})"
            assert sides.step(Step("write", same, same)) is False
            if "CHECK" not in clause:  # whose message names no column
                with pytest.raises(Difference):
                    sides.step(Step("write", same, f"INSERT INTO t VALUES ({values[1]})"))


def test_rows_and_counts_are_compared_behind_a_write() -> None:
    make = "CREATE TABLE t(a)"
    for ours, native in (
        ("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)"),
        ("INSERT INTO t VALUES (1), (2)", "INSERT INTO t VALUES (1)"),
        ("INSERT INTO t(rowid, a) VALUES (7, 1)", "INSERT INTO t VALUES (1)"),
    ):
        for step in (Step("write", ours, native, rows=("t",)), Step("write", ours, native, counted=True)):
            with Sides(True) as sides:
                sides.step(Step("schema", make, make))
                if step.counted and ours.count("(1)") and native.count("(2)"):
                    assert sides.step(step)  # as many, with the same rowid
                    continue
                with pytest.raises(Difference):
                    sides.step(step)


def test_what_has_to_be_refused_is_refused_by_name() -> None:
    with Sides(True) as sides:
        sides.step(Step("refused", "SELECT nope", None, refused="no such column", rule="stale view"))
        assert sides.tally.rules == {"stale view": 1}
        for sql in ("SELECT 1", "SELECT"):
            with pytest.raises(Difference):
                sides.step(Step("refused", sql, None, refused="no such column", rule="stale view"))
        with pytest.raises(Difference):
            sides.step(Step("upkeep", "SELECT nope", None))


def test_only_what_is_documented_is_known() -> None:
    step = Step("query", "SELECT 1", "SELECT 1")
    assert known(step, ValueError("x"), True) == ""
    decode = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid")
    assert (known(step, decode, True), known(step, decode, False)) == ("", "text is not UTF-8")
    assert known(step, [(1,)], True) == ""
    for text, rule in (
        ("2024-13-01", "compared with no time"),
        ("2024-02-29T10:00Z", ""),
        ("x", "compared with no time"),
    ):
        assert known(step, DataTypeError(f"t.flac: column seen: '{text}' is no timestamp"), True) == rule


def test_a_difference_is_made_smaller() -> None:
    texts = ["CREATE TABLE t(a)", "CREATE TABLE u(a)", "INSERT INTO t VALUES (1)", "INSERT INTO u VALUES (1)"]
    steps = [Step("schema", text, text) for text in texts]
    steps.append(Step("query", "SELECT a FROM t", "SELECT a + 1 FROM t"))
    case = Case(0, steps=steps)
    assert [step.ours for step in minimise(case)] == [
        "CREATE TABLE t(a)",
        "INSERT INTO t VALUES (1)",
        "SELECT a FROM t",
    ]
    assert replay(steps[:-1], True, False) == ""


def test_the_command_prints_counts_by_kind(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["difference", "--statements", "100", "--length", "20", "--most", "1"])
    assert main() == 0
    printed = capsys.readouterr().out
    assert "0 differences" in printed
    assert all(f"\n  {kind} " in printed for kind in KINDS)
    monkeypatch.setattr("sys.argv", ["difference", "--case", "2", "--length", "20", "-v"])
    assert main() == 0
    assert "[schema] CREATE VIRTUAL TABLE a_t" in capsys.readouterr().out
