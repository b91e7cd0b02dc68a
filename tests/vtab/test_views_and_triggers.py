"""Views and triggers of any schema do with an audiomem table what they do with a STRICT table."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from model import Twins

from .grammar import queries
from .schema_objects import schemas, statements
from .tables import Layout, layouts
from .test_conformance import FUZZ_SECONDS, NO_CHECKS, PHASES, campaign_for_a_time, small_blocks

EXAMPLES = 60
STATEMENTS = 8
QUERIES = 4
_TABLES = st.lists(layouts(4, 5), min_size=1, max_size=2)


def check(tables: list[Layout], data: st.DataObject, small: bool) -> int:
    """Random views and triggers over random tables; how much was compared."""
    with tempfile.TemporaryDirectory() as name, small_blocks(small):
        folder = Path(name)
        with Twins(folder, ["profile=embedded"], str(folder / "twins.sqlite")) as twins:
            names = [chr(ord("t") + number) for number in range(len(tables))]
            for each, layout in zip(names, tables, strict=True):
                layout.build(twins, each)
            pairs = [(each, layout.columns) for each, layout in zip(names, tables, strict=True)]
            schema = data.draw(schemas(pairs))
            schema.define(twins)
            if any(layout.reopened for layout in tables):
                twins.reconnect()
            for _ in range(STATEMENTS):
                control(twins, data)
                twins.write(data.draw(statements(pairs, schema)), compares=True)
                twins.same_rows()
            for _ in range(QUERIES):
                query = data.draw(queries(pairs, schema.named))
                twins.same(query.sql, query.bindings, ordered=query.ordered, mixed=True)
            return twins.compared


def control(twins: Twins, data: st.DataObject) -> None:
    """Sometimes begin or end a transaction, or a savepoint."""
    if not twins.connection.in_transaction:
        words = data.draw(st.sampled_from(("", "BEGIN", "SAVEPOINT outer")))
    else:
        words = data.draw(
            st.sampled_from(("", "", "", "COMMIT", "ROLLBACK", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s"))
        )
    if words:
        twins.run(words)  # without such a savepoint it fails


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    phases=PHASES,
    deadline=None,
    database=None,
    suppress_health_check=NO_CHECKS,
)
@given(_TABLES, st.data(), st.booleans())
def test_any_schema_does_what_it_does_with_strict_tables(
    tables: list[Layout], data: st.DataObject, small: bool
) -> None:
    check(tables, data, small)


if FUZZ_SECONDS:

    def test_long_campaign() -> None:
        campaign_for_a_time(_TABLES, check)
