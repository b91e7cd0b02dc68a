"""Any query that works on a STRICT table gives the same rows on an audiomem table with the same columns.

``AUDIOMEM_FUZZ_SECONDS=600 pytest tests/vtab/test_conformance.py`` goes on with fresh examples for ten
minutes.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from model import Twins
from samples import MODULATIONS

from audiomem_sql.machine.limits import LIMITS
from audiomem_sql.scan import lookup, scanner
from audiomem_sql.storage.segment import options as table_options

from .grammar import queries
from .tables import Layout, layouts

EXAMPLES = 250
QUERIES = 6
FUZZ_SECONDS = float(os.environ.get("AUDIOMEM_FUZZ_SECONDS", "0"))
COUNTED = {"no times": 0}


@contextmanager
def small_blocks(small: bool) -> Iterator[None]:
    """With ``small``, a block holds a row or two and a batch a few, so that zone maps, ranges and batches have work."""
    with pytest.MonkeyPatch.context() as patch:
        if small:
            patch.setattr(table_options, "LIMITS", {"embedded": replace(LIMITS["embedded"], block_bytes=24)})
            patch.setattr(scanner, "BATCH_BYTES", 48)
            patch.setattr(scanner, "FIRST_BATCH_BYTES", 16)
            patch.setattr(scanner, "FILTER_ROWS", 3)
            patch.setattr(lookup, "SMALL_ROWS", 0)
        yield


def check(tables: list[Layout], data: st.DataObject, small: bool, modulation: str = "pcm") -> int:
    options = ["profile=embedded", *(f"{name}={value}" for name, value in MODULATIONS[modulation].items())]
    with (
        small_blocks(small),
        tempfile.TemporaryDirectory() as folder,
        Twins(Path(folder), options) as twins,
    ):
        names = [chr(ord("t") + number) for number in range(len(tables))]
        for name, layout in zip(names, tables, strict=True):
            layout.build(twins, name)
        if any(layout.reopened for layout in tables):
            twins.reopen()
        pairs = [(name, layout.columns) for name, layout in zip(names, tables, strict=True)]

        def compare(count: int) -> None:
            for _ in range(count):
                query = data.draw(queries(pairs))
                twins.same(query.sql, query.bindings, ordered=query.ordered, mixed=True)

        compare(QUERIES // 2)  # what is committed is read in other ways than what a transaction changed
        twins.connection.execute("BEGIN")
        for name, layout in zip(names, tables, strict=True):
            layout.leave_pending(twins, name)
        compare(QUERIES // 2)
        twins.connection.execute(data.draw(st.sampled_from(["ROLLBACK", "COMMIT"])))
        compare(1)
        COUNTED["no times"] += twins.no_times
        return twins.compared


TABLES = st.lists(layouts(), min_size=1, max_size=2)
NO_CHECKS = list(HealthCheck)
#: What is found is printed as it is; shrinking takes longer than finding it.
PHASES = [Phase.generate, Phase.shrink] if os.environ.get("AUDIOMEM_FUZZ_SHRINK") else [Phase.generate]


@settings(
    max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=NO_CHECKS
)
@given(TABLES, st.data(), st.booleans())
def test_every_query_gives_the_rows_of_a_strict_table(
    tables: list[Layout], data: st.DataObject, small: bool
) -> None:
    check(tables, data, small)


@settings(max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=NO_CHECKS)
@given(TABLES, st.data(), st.booleans(), st.sampled_from(["flat", "mission"]))
def test_so_it_does_when_pages_are_frequencies(
    tables: list[Layout], data: st.DataObject, small: bool, modulation: str
) -> None:
    check(tables, data, small, modulation)


def campaign_for_a_time(tables: st.SearchStrategy[list[Layout]], checked: Callable[..., int]) -> None:
    """Look for differences with ever new seeds, for AUDIOMEM_FUZZ_SECONDS; ``checked`` says how much it compared."""
    end = time.monotonic() + FUZZ_SECONDS
    start = int.from_bytes(os.urandom(4), "little")
    examples = compared = 0
    while time.monotonic() < end:
        start += 1

        @seed(start)
        @settings(
            max_examples=200, phases=PHASES, deadline=None, database=None, suppress_health_check=NO_CHECKS
        )
        @given(tables, st.data(), st.booleans())
        def campaign(tables: list[Layout], data: st.DataObject, small: bool) -> None:
            nonlocal examples, compared
            compared += checked(tables, data, small)
            examples += 1

        print(
            f"seed {start}: {examples} examples, {compared} statements compared so far, "
            f"{COUNTED['no times']} of them refused for what is no time",
            flush=True,
        )
        campaign()


if FUZZ_SECONDS:

    def test_long_campaign() -> None:
        campaign_for_a_time(TABLES, check)
