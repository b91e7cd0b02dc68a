"""The columns of a table all of whose rows are replaced, by rows that may have other columns."""

from __future__ import annotations

from dataclasses import dataclass, replace

from audiomem_sql.columns.checks import Checks
from audiomem_sql.columns.column import Column, fold
from audiomem_sql.columns.constraints import Check
from audiomem_sql.columns.hidden import check_new_name
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import SchemaError


@dataclass(frozen=True, slots=True)
class Chosen:
    """What new rows say of their columns.

    new_key, new_meaning: what the key is, and what is searched by meaning. blank: the columns without a
    value, which are of any type.
    """

    new_key: bool = False
    new_meaning: bool = False
    blank: frozenset[str] = frozenset()


def replaced(before: Schema, wanted: Schema, next_column: int, chosen: Chosen) -> Schema:
    """The columns of ``wanted``, in the place of those of ``before``, in their order.

    A column that both have, by name and type, stays what it is in ``before``: its values there, its key, its
    index, its DEFAULT, unless that is ``chosen``. Others are new, with ids from ``next_column`` on. CHECK and
    keys of several columns stay if their columns do.

    SchemaError if the INTEGER PRIMARY KEY is not among them: it numbers the rows of all versions.
    """
    columns: list[Column] = []
    alias = None if before.rowid_column is None else before.columns[before.rowid_column]
    for column in wanted.visible.columns:
        kept = _kept(before, column, chosen)
        if kept is None:
            check_new_name(column.name)
            if column.is_rowid and alias is not None:
                kept = replace(column, id=alias.id)
            else:  # the rowids of older versions are not its values
                kept = replace(column, id=next_column, no_alias=column.primary_key)
                next_column += 1
        columns.append(kept)
    ids = {column.id for column in columns}
    if alias is not None and alias.id not in ids:
        raise SchemaError(
            f"the rows are numbered by the INTEGER PRIMARY KEY {alias.name}, which the new ones do not have",
            place=f"column {alias.name}",
            remedy="Give them that column with integers, or write them to another file",
        )
    semantic = {column.id for column in columns if column.semantic}
    columns += [column for column in before.columns if column.is_hidden and column.vector_of in semantic]
    return _with_constraints(before, tuple(columns), wanted.metadata, new_key=chosen.new_key)


def says_the_same(one: Schema, other: Schema) -> bool:
    """Whether two schemas are the same, and say the same of what their columns were made of."""
    return one.is_same(other) and one.to_catalog() == other.to_catalog()


def _kept(before: Schema, column: Column, chosen: Chosen) -> Column | None:
    """The column of ``before`` that goes on as ``column``; None if there is none."""
    place = before.find(column.name)
    if place is None or before.columns[place].is_hidden:
        return None
    old = before.columns[place]
    is_json = (old.type.kind, column.type.kind) == (Kind.JSON, Kind.TEXT)
    if old.type != column.type and not is_json and column.name not in chosen.blank:
        return None
    kept = replace(old, name=column.name, origin=column.origin, metadata=column.metadata)
    if chosen.new_meaning:
        kept = replace(kept, semantic=column.semantic)
    if chosen.new_key:
        kept = replace(
            kept,
            primary_key=column.primary_key,
            unique=column.unique or (old.unique and not old.primary_key),
            not_null=column.not_null or (old.not_null and not old.primary_key),
            no_alias=column.primary_key and not old.is_rowid,
            autoincrement=old.autoincrement and column.primary_key,
        )
    return kept if kept.is_rowid == old.is_rowid else None


def _with_constraints(
    before: Schema, columns: tuple[Column, ...], metadata: str | None, *, new_key: bool
) -> Schema:
    """The schema of ``columns`` with those constraints of ``before`` whose columns are all there."""
    there = {fold(column.name) for column in columns}
    keys = tuple(
        key
        for key in before.keys
        if {fold(name) for name in key.columns} <= there and not (new_key and key.primary)
    )
    bare = Schema(columns, (), keys, metadata)
    return replace(bare, checks=tuple(check for check in before.checks if _is_understood(check, bare)))


def _is_understood(check: Check, bare: Schema) -> bool:
    try:
        Checks(replace(bare, checks=(check,)))
    except SchemaError:
        return False
    return True
