"""What the manifest of a sharded table says: its columns, its shards, and their commits in each version.

A version of the table is a commit in some shards, and one replacement of the manifest. It names the commit of
each shard that it shows by number and time; a commit of a shard that no version names was never acknowledged,
and is not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from audiomem_sql.columns.schema import Schema
from audiomem_sql.shards.buckets import BUCKETS, MAX_SHARDS, Placement
from audiomem_sql.shards.version_bytes import CHUNK, Pin, ShardedVersion, pack_chunk
from audiomem_sql.shards.zones import ShardZones
from audiomem_sql.storage.segment import Migration, Version
from audiomem_sql.versions import unknown_source, without_removed


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A shard: the name of its file in the folder, its table id, its commit in the oldest version kept."""

    file: str
    table_id: bytes
    oldest: Pin


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns and options that the table had up to a version: those of the ``last`` one that had them."""

    last: int
    schema: Schema
    options: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest.

    table_id: 16 bytes. schema: the columns of the newest version; the numbers of columns are those in it.
    earlier: the layouts of versions before, oldest first. migrations: every change of the columns.
    next_column: above the ids of all columns that there were, or 0. key: the numbers of the columns that
    place a row; () is the rowid. options: those of the table, as its files' catalogs have them. tables: (the
    first version with it, the shard of each of ``BUCKETS``), the newest last. target: the table that the
    shards are being moved to, if they are. versions: those that are kept, oldest first. sources: the digest
    of each by name. high_rowid: the greatest that was given out. rows: of the newest version. copies: how
    often the table was copied to where the manifest is; 0 where it is written to.
    """

    table_id: bytes
    schema: Schema
    options: Mapping[str, object]
    key: tuple[int, ...]
    tables: tuple[tuple[int, tuple[int, ...]], ...]
    shards: tuple[ShardEntry, ...]
    versions: tuple[ShardedVersion, ...]
    zones: ShardZones
    tags: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, bytes] = field(default_factory=dict)
    high_rowid: int = 0
    rows: int = 0
    target: tuple[int, ...] | None = None
    copies: int = 0
    earlier: tuple[Layout, ...] = ()
    migrations: tuple[Migration, ...] = ()
    next_column: int = 0
    #: The first versions as they are stored, ``CHUNK`` in each: a commit packs few anew.
    chunks: tuple[bytes, ...] = ()
    #: The commits that the newest version shows; None until they are worked out.
    newest_pins: tuple[Pin, ...] | None = None

    @property
    def shard_of_bucket(self) -> tuple[int, ...]:
        """The shard of each bucket in the newest version."""
        return self.tables[-1][1]

    @property
    def filled(self) -> int:
        """How many shards have rows."""
        return len(set(self.shard_of_bucket))

    def layout_at(self, version: int) -> Layout:
        """The columns and options of a version."""
        newest = Layout(self.newest, self.schema, self.options)
        return next((each for each in self.earlier if version <= each.last), newest)

    @property
    def schemas(self) -> tuple[tuple[int, Schema], ...]:
        """(the first version with it, schema), for every change of the columns that is kept, oldest first."""
        starts = [self.versions[0].version.number, *(each.last + 1 for each in self.earlier)]
        return tuple(zip(starts, (*(each.schema for each in self.earlier), self.schema), strict=True))

    def placement_at(self, version: int, schema: Schema) -> Placement:
        """Where rows with the columns of ``schema`` belong in a version."""
        table = next((table for first, table in reversed(self.tables) if first <= version), self.tables[0][1])
        return Placement(schema, _renumbered(self.key, self.schema, schema), table)

    def zones_of(self, schema: Schema) -> ShardZones:
        """The zone maps by the numbers that columns have in ``schema``."""
        if schema.is_same(self.schema):
            return self.zones
        old = [number for number in self.zones.columns if self.schema.columns[number].id in schema.ids]
        new = _renumbered(old, self.schema, schema)
        return ShardZones({to: self.zones.columns[number] for number, to in zip(old, new, strict=True)})

    @property
    def newest(self) -> int:
        """The number of the newest version."""
        return self.versions[-1].version.number

    def pins_at(self, version: int) -> tuple[Pin, ...]:
        """The commit of each shard that a version shows."""
        if version == self.newest and self.newest_pins is not None:
            return self.newest_pins
        pins = [entry.oldest for entry in self.shards]
        for each in self.versions[1:]:
            if each.version.number > version:
                break
            for number, pin in each.pins.items():
                pins[number] = pin
        return tuple(pins)

    def rows_at(self, version: int) -> int:
        """How many rows a version has."""
        if version == self.newest:
            return self.rows
        later = (each.version for each in self.versions if each.version.number > version)
        return self.rows - sum(each.inserted - each.deleted for each in later)

    def after(
        self,
        version: Version,
        pins: Mapping[int, Pin],
        *,
        zones: ShardZones,
        high_rowid: int,
        tags: Mapping[str, int],
        sources: Mapping[str, bytes],
    ) -> Manifest:
        """With one more version. tags, sources: those that it adds."""
        newest_pins = list(self.pins_at(self.newest))
        for number, pin in pins.items():
            newest_pins[number] = pin
        stored = CHUNK * len(self.chunks)
        chunks = self.chunks
        if len(self.versions) - stored >= 2 * CHUNK:
            chunks = (*chunks, pack_chunk(self.versions[stored : stored + CHUNK]))
        return replace(
            self,
            chunks=chunks,
            newest_pins=tuple(newest_pins),
            versions=(*self.versions, ShardedVersion(version, dict(pins))),
            zones=zones,
            tags={**self.tags, **tags},
            sources=without_removed({**self.sources, **sources}, versions=len(self.versions) + 1),
            high_rowid=high_rowid,
            rows=self.rows + version.inserted - version.deleted,
        )

    def altered(self, schema: Schema, change: str) -> Manifest:
        """The newest version changed the columns to those of ``schema``, which has all columns of the key."""
        number = self.newest
        numbers = [step.number for step in self.migrations]
        step = Migration(max(numbers, default=0) + 1, number, change)
        return replace(
            self,
            schema=schema,
            key=_renumbered(self.key, self.schema, schema),
            zones=self.zones_of(schema).with_added(self.schema, schema, len(self.shards)),
            earlier=(*self.earlier, Layout(number - 1, self.schema, self.options)),
            migrations=(*self.migrations, step),
            next_column=max(self.next_column, *(column + 1 for column in (*self.schema.ids, *schema.ids))),
        )

    def with_options(self, options: Mapping[str, object]) -> Manifest:
        """With other options."""
        return replace(self, options=dict(options))

    def moved(self, table: Sequence[int]) -> Manifest:
        """The newest version moved rows: the shard of each bucket is as in ``table`` from it on."""
        *before, newest = self.versions
        tables = (*self.tables, (self.newest, tuple(table)))
        return replace(self, versions=(*before, replace(newest, moved=True)), tables=tables)

    def with_target(self, target: Sequence[int] | None) -> Manifest:
        """With a table that the shards are to be moved to."""
        return replace(self, target=None if target is None else tuple(target))

    def with_shards(self, more: Sequence[ShardEntry]) -> Manifest:
        """With more shards, which are empty."""
        zones = self.zones.widened(len(more))
        return replace(self, shards=(*self.shards, *more), zones=zones, newest_pins=None)

    def without(self, oldest: int) -> Manifest:
        """Without the versions before ``oldest``."""
        pins = self.pins_at(oldest)
        kept = [each for each in self.versions if each.version.number >= oldest]
        shards = tuple(replace(entry, oldest=pin) for entry, pin in zip(self.shards, pins, strict=True))
        first = [each for each in self.tables if each[0] <= oldest][-1:]
        tables = (*first, *(each for each in self.tables if each[0] > oldest))
        versions = (replace(kept[0], pins={}, moved=False), *kept[1:])
        earlier = tuple(each for each in self.earlier if each.last >= oldest)
        return replace(
            self,
            versions=versions,
            shards=shards,
            tables=tables,
            earlier=earlier,
            sources=without_removed(self.sources, len(versions)),
            chunks=(),
            newest_pins=None,
        )

    def until(self, version: int) -> Manifest:
        """As it was at a version that is kept, without those behind it.

        It is not known what was ingested until then: the digests of sources are zeros, so that they are read
        again when they are ingested the next time.
        """
        if version == self.newest:
            return self
        layout = self.layout_at(version)
        tables = tuple(each for each in self.tables if each[0] <= version) or self.tables[:1]
        count = 1 + max(shard for _, table in tables for shard in table)  # later ones are empty
        return replace(
            self,
            schema=layout.schema,
            options=layout.options,
            key=_renumbered(self.key, self.schema, layout.schema),
            zones=self.zones_of(layout.schema).of(count),
            earlier=tuple(each for each in self.earlier if each.last < version),
            migrations=tuple(step for step in self.migrations if step.version <= version),
            versions=tuple(each.of(count) for each in self.versions if each.version.number <= version),
            shards=self.shards[:count],
            tables=tables,
            tags={name: number for name, number in self.tags.items() if number <= version},
            sources={
                name: unknown_source(name, digest) or bytes(len(digest))
                for name, digest in without_removed(self.sources, versions=2).items()
            },
            rows=self.rows_at(version),
            target=None,
            chunks=(),
            newest_pins=None,
        )

    def contradiction(self) -> str | None:
        """What in it cannot be so; None if all can."""
        count = len(self.shards)
        tables = [table for _, table in self.tables] + ([] if self.target is None else [self.target])
        if not 1 <= count <= MAX_SHARDS or not self.tables or any(len(each) != BUCKETS for each in tables):
            return f"it has {count} shards, or another number of buckets than {BUCKETS:,}"
        if not all(0 <= shard < count for each in tables for shard in set(each)):
            return "a bucket belongs to a shard that is not there"
        files = [entry.file for entry in self.shards]
        if twice := _twice(files) or _twice([entry.table_id.hex() for entry in self.shards]):
            return f"two shards are the same: {twice}"
        numbers = [each.version.number for each in self.versions]
        if not numbers or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            return "its versions do not follow each other"
        if not all(0 <= shard < count for each in self.versions for shard in each.pins):
            return "a version changed a shard that is not there"
        if not all(0 <= number < len(self.schema) for number in (*self.key, *self.zones.columns)):
            return "it names a column that is not there"
        lasts = [each.last for each in self.earlier]
        if lasts != sorted(set(lasts)) or not all(numbers[0] <= last < numbers[-1] for last in lasts):
            return "its changes of columns are not in order"
        key_ids = {self.schema.columns[number].id for number in self.key}
        if not all(key_ids <= set(each.schema.ids) for each in self.earlier):
            return "a version has no column of the key"
        return None


def _renumbered(columns: Iterable[int], before: Schema, after: Schema) -> tuple[int, ...]:
    """The numbers that columns with numbers in ``before`` have in ``after``."""
    if before.is_same(after):
        return tuple(columns)
    return tuple(after.ids.index(before.columns[number].id) for number in columns)


def _twice(names: Sequence[str]) -> str | None:
    """One of ``names`` that is there twice."""
    return next((name for number, name in enumerate(names) if name in names[:number]), None)
