"""The metadata that users write into Arrow schemas and fields comes back, and is bounded."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import audiomem_sql as am
from audiomem_sql.columns.own_metadata import MAX_METADATA, given_back, kept, with_renamed
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import LimitError

TABLE = pa.table(
    {"a": pa.array([1, 2]), "b": pa.array(["x", None])},
    schema=pa.schema(
        [
            pa.field("a", pa.int64(), metadata={"unit": "m", b"\xff": b"\x00\xfe"}),
            pa.field("b", pa.string(), metadata={"audiomem:primary_key": "1"}),
        ],
        {"made by": "me", "é": "ü"},
    ),
)


@given(st.dictionaries(st.binary(max_size=9), st.binary(max_size=9)))
def test_every_metadata_comes_back(metadata: dict[bytes, bytes]) -> None:
    assert given_back(kept(metadata, "here")) == {
        key: value for key, value in metadata.items() if not key.startswith(b"audiomem:")
    }


@given(st.text() | st.sampled_from(['{"a": 1}', "[]", '{"a": "\\u0100"}', '{"audiomem:type": "TEXT"}']))
def test_no_text_is_an_error(text: str) -> None:
    assert all(not key.startswith(b"audiomem:") for key in given_back(text))
    with_renamed(text, "a", "b")


def own(schema: pa.Schema) -> tuple[dict[bytes, bytes], ...]:
    """The metadata of the schema and of its fields, without ours."""
    found = [schema.metadata, *(field.metadata for field in schema)]
    return tuple(
        {key: value for key, value in (each or {}).items() if not key.startswith(b"audiomem:")}
        for each in found
    )


def test_metadata_of_schema_and_fields_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    expected = own(TABLE.schema)
    assert expected[1] == {b"unit": b"m", b"\xff": b"\x00\xfe"}
    with am.write_flac(TABLE, path) as table:
        assert own(table.to_arrow().schema) == expected
        assert own(table.dataset().schema) == expected
        assert own(pa.RecordBatchReader.from_stream(table).schema) == expected
        assert own(table.to_arrow(["a"]).schema) == expected[:2]
        table.append(TABLE.replace_schema_metadata({"made by": "another"}))
        table.vacuum()
        table.alter("add column c INTEGER")
        table.alter("rename column a TO z")
    with am.open(path) as table:
        assert own(table.to_arrow().schema) == (*expected, {})
        assert (
            Schema.from_catalog(table.schema.to_catalog())
            .to_arrow()
            .equals(table.schema.to_arrow(), check_metadata=True)
        )
        table.alter("drop column z")  # the first, which has those of all in the catalog
        assert own(table.to_arrow().schema) == (expected[0], {}, {})
        pq.write_table(table.to_arrow(), tmp_path / "t.parquet")
    again = tmp_path / "again.flac"
    am.write_flac(pq.read_table(tmp_path / "t.parquet"), again).close()
    with am.open(again) as table:
        assert own(table.to_arrow().schema)[0] == expected[0]


def test_the_name_of_an_extension_goes_with_its_storage(tmp_path: Path) -> None:
    said = {"ARROW:extension:name": "example.point", "unit": "m"}
    fields = [pa.field("kept", pa.binary(), metadata=said), pa.field("other", pa.int8(), metadata=said)]
    rows = pa.table({"kept": [b"a"], "other": [1]}, schema=pa.schema(fields))
    with am.write_flac(rows, tmp_path / "t.flac") as table:
        _, as_binary, as_integer = own(table.to_arrow().schema)
    assert as_binary == {key.encode(): value.encode() for key, value in said.items()}
    assert as_integer == {b"unit": b"m"}


def test_metadata_are_bounded_by_name(tmp_path: Path) -> None:
    large = {"small": "x", "culprit": "y" * MAX_METADATA}
    with pytest.raises(LimitError, match=r"the table: the metadata are 1,048,.*'culprit'"):
        am.write_flac(TABLE.replace_schema_metadata(large), tmp_path / "t.flac")
    field = pa.field("v", pa.int64(), metadata=large)
    with pytest.raises(LimitError, match=r"column v: the metadata .*'culprit'"):
        am.write_flac(pa.table({"v": [1]}, schema=pa.schema([field])), tmp_path / "t.flac")
    assert not list(tmp_path.iterdir())
