"""What a data frame of pandas has beside its columns: its index and its attrs, kept as in Parquet files.

An index becomes columns behind the others: a level with a name is called so, one without
``__index_level_0__``, as pyarrow calls it. A RangeIndex takes no column: where it begins and its step are
noted, and a frame of other rows than those that it was written with has an index of its own. All this stands
in the metadata ``pandas`` of the Arrow schema, in pyarrow's format
(https://pandas.pydata.org/docs/development/developer.html), so that ``table.to_arrow().to_pandas()`` gives
the index back, too.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import types

from audiomem_sql.columns.arrow_types import ArrowType
from audiomem_sql.columns.column import fold
from audiomem_sql.columns.origins import OBJECT
from audiomem_sql.columns.own_metadata import PANDAS
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import DataTypeError, SchemaError

if TYPE_CHECKING:
    import pandas as pd

#: In pandas' metadata: the frequencies of indexes of dates, by the name of the column; pyarrow ignores it.
_FREQUENCIES = "audiomem_freq"
_ATTRS_REMEDY = "JSON has texts, numbers, true, false, None, lists, and dicts with texts as keys"


# --- frames to columns --------------------------------------------------------------------------------------


def columns_of(
    frame: pd.DataFrame, schema: Schema | None, index: bool | None
) -> tuple[Iterator[tuple[str, pd.Series[Any]]], dict[bytes, bytes] | None]:
    """The columns of ``frame``, those of its index among them, and the metadata of all.

    schema: of the table that takes the rows; None: it is made of them. index: whether that of the frame
    becomes columns; None: a RangeIndex does not, and of a table that is there those levels do that it has.

    SchemaError for a name that is no text, and for an index with a name that the table does not have.
    DataTypeError for attrs that JSON does not hold.
    """
    _check_names(frame)
    levels = [] if index is False else _levels(frame, schema, index)
    metadata = None if schema is not None else _metadata(frame, levels, index)

    def columns() -> Iterator[tuple[str, pd.Series[Any]]]:
        for number, name in enumerate(frame.columns):
            yield str(name), frame.iloc[:, number]
        for number, name in levels:
            yield name, _as_series(frame.index.get_level_values(number))

    return columns(), metadata


def backend_of(dtype: Any, given: ArrowType) -> bytes:
    """Which of pandas' families a dtype belongs to, empty for numpy's. given: what Arrow makes of it."""
    if hasattr(dtype, "pyarrow_dtype"):
        return b"pyarrow"
    pandas = sys.modules["pandas"]
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        texts = types.is_string(given) and pandas.Series(["a"]).dtype != object
        numbers = types.is_integer(given) or types.is_floating(given) or types.is_boolean(given)
        return OBJECT.encode() if texts or numbers or types.is_null(given) else b""
    missing = getattr(dtype, "na_value", None)
    return b"numpy_nullable" if missing is not None and missing is pandas.NA else b""


def _check_names(frame: pd.DataFrame) -> None:
    if frame.columns.nlevels > 1:
        raise SchemaError(
            f"the columns have {frame.columns.nlevels} levels, the first column is {frame.columns[0]!r}",
            remedy="Give each one name: frame.columns = ['_'.join(map(str, name)) for name in frame.columns]",
        )
    for place, name in enumerate(frame.columns):
        if not isinstance(name, str):
            raise SchemaError(
                f"the name of column {place} is {name!r:.80}, and no text",
                remedy="Rename it: frame.columns = frame.columns.map(str)",
            )
    for level, name in enumerate(frame.index.names):
        if name is not None and not isinstance(name, str):
            raise SchemaError(
                f"the name of index level {level} is {name!r:.80}, and no text",
                remedy="Rename it with frame.rename_axis(index=…), or pass index=False",
            )


def _levels(frame: pd.DataFrame, schema: Schema | None, index: bool | None) -> list[tuple[int, str]]:
    """The levels of the index that become columns, each with the name of its column."""
    taken = {fold(str(name)) for name in frame.columns}
    is_range = isinstance(frame.index, sys.modules["pandas"].RangeIndex)
    chosen = []
    for number, level in enumerate(frame.index.names):
        is_named = level is not None and fold(level) not in taken
        name = level if is_named else f"__index_level_{number}__"
        if schema is None:
            wanted = index or not is_range
        else:
            wanted = name in schema
            if not wanted and is_named and not is_range:
                raise SchemaError(
                    f"the table has no column {name}, which is a level of the index",
                    remedy=f"Leave it out with frame.reset_index({level!r}, drop=True). "
                    f"The columns are {', '.join(schema.visible.names)}",
                )
        if wanted:
            chosen.append((number, name))
    return chosen


def _metadata(
    frame: pd.DataFrame, levels: Sequence[tuple[int, str]], index: bool | None
) -> dict[bytes, bytes] | None:
    """pandas' metadata; None for a frame with nothing to say but its columns."""
    pandas = sys.modules["pandas"]
    attrs = _checked_attrs(frame.attrs)
    names = frame.columns
    usual = pandas.Index(list(names)).dtype if len(names) else names.dtype
    is_plain = names.name is None and names.dtype == usual
    ranged = frame.index if index is None and isinstance(frame.index, pandas.RangeIndex) else None
    counted = ranged is None or (ranged.start, ranged.step, ranged.name) == (0, 1, None)
    if not levels and not attrs and is_plain and counted:
        return None
    columns = [_described(str(name), str(name), frame.iloc[:0, number]) for number, name in enumerate(names)]
    frequencies = {}
    for number, name in levels:
        level = frame.index.get_level_values(number)
        columns.append(_described(frame.index.names[number], name, _as_series(level[:0])))
        if frame.index.nlevels == 1 and getattr(level, "freqstr", None):
            frequencies[name] = level.freqstr
    indexes: list[Any] = [name for _, name in levels]
    if ranged is not None:
        indexes = [{"kind": "range", "name": ranged.name, "start": ranged.start, "stop": ranged.stop}]
        indexes[0]["step"] = ranged.step
    told = {
        "index_columns": indexes,
        "column_indexes": [
            _described(None if names.name is None else str(names.name), None, _as_series(names[:0]))
        ],
        "columns": columns,
        "attributes": attrs,
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": pandas.__version__,
    }
    told |= {_FREQUENCIES: frequencies} if frequencies else {}
    return {PANDAS: json.dumps(told).encode()}


def _as_series(level: pd.Index[Any]) -> pd.Series[Any]:
    """The values; ``to_series`` would make ``str`` of texts that are objects."""
    series: pd.Series[Any] = sys.modules["pandas"].Series(level, dtype=level.dtype)
    return series


def _described(name: str | None, field_name: str | None, none: pd.Series[Any]) -> dict[str, Any]:
    """The entry of a column in pandas' metadata. none: no row of it."""
    dtype = none.dtype
    entry: dict[str, Any] = {"name": name, "field_name": field_name, "metadata": None}
    if isinstance(dtype, sys.modules["pandas"].CategoricalDtype):
        entry["metadata"] = {"num_categories": len(dtype.categories), "ordered": bool(dtype.ordered)}
        return entry | {"pandas_type": "categorical", "numpy_type": str(none.cat.codes.dtype)}
    zone = getattr(dtype, "tz", None)
    if zone is not None:
        entry["metadata"] = {"timezone": pa.lib.tzinfo_to_string(zone)}
        return entry | {"pandas_type": "datetimetz", "numpy_type": f"datetime64[{dtype.unit}]"}
    kind = {"M": "datetime", "O": "unicode"}.get(dtype.kind, str(dtype).lower())
    return entry | {"pandas_type": kind, "numpy_type": str(dtype)}


def _checked_attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """attrs that come back as they are."""
    for key, value in attrs.items():
        try:
            told = json.dumps({key: value})
            same = json.loads(told) == {key: value} and json.dumps(json.loads(told)) == told
        except (TypeError, ValueError, RecursionError):
            same = False
        if not same or not isinstance(key, str):
            raise DataTypeError(
                f"attrs[{key!r:.80}] of the data frame is {value!r:.80}, which would not come back as it is",
                remedy=f"{_ATTRS_REMEDY}: change it, or remove it from frame.attrs",
            )
    return dict(attrs)


# --- columns to frames --------------------------------------------------------------------------------------


def index_names(metadata: Mapping[bytes, bytes] | None) -> list[str]:
    """The columns that are levels of an index, as far as metadata tell."""
    return [each for each in _told(metadata).get("index_columns", ()) if isinstance(each, str)]


def restore(frame: pd.DataFrame, metadata: Mapping[bytes, bytes] | None) -> pd.DataFrame:
    """``frame`` with the index and the attrs that metadata tell.

    Levels whose columns are not there are left out, and a range is of as many rows as there are.
    """
    told = _told(metadata)
    if not told:
        return frame
    import pandas as pd

    named = {entry["field_name"]: entry.get("name") for entry in told["columns"]}
    levels = [name for name in index_names(metadata) if name in frame.columns]
    ranges = [each for each in told["index_columns"] if isinstance(each, dict)]
    if levels:
        arrays = [_as_index(frame[name], named.get(name)) for name in levels]
        frame = frame.drop(columns=levels)
        frame.index = arrays[0] if len(arrays) == 1 else pd.MultiIndex.from_arrays(arrays)
        _set_frequency(frame, told.get(_FREQUENCIES, {}).get(levels[0]))
    elif ranges:
        ranged = pd.RangeIndex(*(ranges[0][key] for key in ("start", "stop", "step")), name=ranges[0]["name"])
        if len(ranged) == len(frame):
            frame.index = ranged
    for described in told.get("column_indexes", [])[:1]:
        if described.get("numpy_type") == "object":
            frame.columns = frame.columns.astype(object)
        frame.columns.name = described.get("name")
    frame.attrs = dict(told.get("attributes") or {})
    return frame


def _as_index(series: pd.Series[Any], name: str | None) -> pd.Index[Any]:
    import pandas as pd

    return pd.Index(series, dtype=series.dtype, copy=False).rename(name)  # else it has that of the series


def _set_frequency(frame: pd.DataFrame, frequency: Any) -> None:
    """Say that the dates of an index follow each other at a frequency, if they still do."""
    if isinstance(frequency, str):
        # others may have come, or it may be no frequency to this pandas
        with contextlib.suppress(ValueError, AttributeError):
            frame.index.freq = frequency


def _told(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """What pandas' metadata say; nothing for what is not understood, whoever wrote it."""
    try:
        told = json.loads((metadata or {})[PANDAS])
        understood = (
            all(isinstance(told.get(key, []), list) for key in ("columns", "index_columns", "column_indexes"))
            and all(isinstance(entry["field_name"], str | None) for entry in told["columns"])
            and all(isinstance(entry.get("name"), str | None) for entry in told["columns"])
            and all(_is_index(each) for each in told["index_columns"])
            and all(isinstance(entry.get("name"), str | None) for entry in told.get("column_indexes", []))
            and isinstance(told.get("attributes") or {}, dict)
            and isinstance(told.get(_FREQUENCIES, {}), dict)
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
    return told if understood else {}


def _is_index(each: Any) -> bool:
    """Whether a part of ``index_columns`` is the name of a column, or a range."""
    if not isinstance(each, dict):
        return isinstance(each, str)
    numbers = [each[key] for key in ("start", "stop", "step")]
    return (
        all(type(number) is int for number in numbers) and numbers[2] and isinstance(each["name"], str | None)
    )
