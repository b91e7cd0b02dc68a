"""The model behind ``benchmarks/scale.py``: placement, queues of shards, resharding, manifests, prices.

Placement, resharding and manifests use the functions of the package itself; queues are simulated.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audiomem_sql.columns.schema import Schema
from audiomem_sql.shards.buckets import spread
from audiomem_sql.shards.manifest import Manifest, ShardEntry
from audiomem_sql.shards.manifest_bytes import MAX_RAW_BYTES, pack_manifest, unpack_manifest
from audiomem_sql.shards.version_bytes import CHUNK, Pin, ShardedVersion, pack_chunk
from audiomem_sql.shards.zones import ShardZones, zone_columns
from audiomem_sql.storage.segment import Version
from audiomem_sql.table.bucket_plans import balanced
from audiomem_sql.table.resharding import MOST_ROWS
from benchmarks.scale_measured import Measured

Array = np.ndarray[Any, Any]
#: Seconds of so many requests; the second argument is where chance comes from.
Times = Callable[[int, np.random.Generator], Array]
_MICROS = 1_700_000_000_000_000


# -- balance -------------------------------------------------------------------------------------------------


def fullest(sizes: Array) -> float:
    """How much more than the mean the greatest of ``sizes`` is: 0.22 for 22 %."""
    return float(sizes.max() / sizes.mean() - 1)


def rows_of_shards(rows: int, buckets: int, shards: int, chance: np.random.Generator) -> Array:
    """The rows of each shard, int64 (shards,), where every row falls into one of the buckets by chance."""
    mean = rows / buckets
    if mean > 1000:  # then the normal distribution is that of the counts, and is quicker
        counts = np.rint(chance.normal(mean, (mean * (1 - 1 / buckets)) ** 0.5, buckets)).astype(np.int64)
    else:
        counts = chance.multinomial(rows, np.full(buckets, 1 / buckets))
    return np.bincount(spread(shards, buckets), weights=counts, minlength=shards).astype(np.int64)


def zipf_shares(count: int, exponent: float, most: int = 1_000_000) -> tuple[Array, float]:
    """The shares of the ``most`` first of ``count`` things in Zipf's distribution, and that of the others."""
    first = np.arange(1, min(count, most) + 1, dtype=np.float64) ** -exponent
    rest = 0.0
    if count > most:  # the integral of x ** -exponent
        start, end = most + 0.5, count + 0.5
        power = 1 - exponent
        rest = float(np.log(end / start)) if power == 0 else (end**power - start**power) / power
    total = first.sum() + rest
    return first / total, rest / total


def load_of_shards(
    count: int, exponent: float, buckets: int, shards: int, chance: np.random.Generator
) -> Array:
    """The share of each shard of what is asked, or kept, of ``count`` keys with Zipf's shares."""
    shares, rest = zipf_shares(count, exponent)
    weights = np.bincount(chance.integers(0, buckets, len(shares)), weights=shares, minlength=buckets)
    weights += rest / buckets
    return np.bincount(spread(shards, buckets), weights=weights, minlength=shards)


# -- queues --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cluster:
    """Shards of which each has ``copies`` processes that answer one request after another."""

    shards: int
    copies: int = 1


def disturbed(times: Times, share: float, factor: float) -> Times:
    """``times``, of which a ``share`` takes ``factor`` times as long."""

    def drawn(count: int, chance: np.random.Generator) -> Array:
        found = times(count, chance)
        found[chance.random(count) < share] *= factor
        return found

    return drawn


def latencies(
    times: Times,
    cluster: Cluster,
    touched: int,
    load: float,
    queries: int,
    seed: int,
    *,
    hedge: float | None = None,
    budget: float = np.inf,
    shorter: bool = False,
) -> tuple[Array, Array, float]:
    """Seconds of queries that each ask ``touched`` shards by chance at the same moment, and wait for all.

    load: the share of the time for which processes work, without hedging. Queries come by chance (Poisson),
    a request goes to a copy by chance; shorter: to that which will be free first. hedge: after so many
    seconds it is asked of the next copy, too, and the first answer counts; the other one is worked off
    nevertheless. budget: the share of requests so far of which a second one is made at most.
    Returns the seconds of each query, those of each request, and requests a request, hedged ones with it. The
    first fifth is left out.
    """
    chance = np.random.default_rng(seed)
    mean = float(times(100_000, np.random.default_rng(seed + 1)).mean())
    gap = touched * mean / (load * cluster.shards * cluster.copies)
    arrivals = np.cumsum(chance.exponential(gap, queries))
    if touched == cluster.shards:
        shards = np.tile(np.arange(touched), (queries, 1))
    else:
        shards = chance.random((queries, cluster.shards)).argpartition(touched - 1)[:, :touched]
    count = queries * touched
    copies = chance.integers(0, cluster.copies, (queries, touched))
    answers, hedged = _answers(
        np.repeat(arrivals, touched).tolist(),
        (shards * cluster.copies + copies).ravel().tolist(),
        times(count, chance).tolist(),
        times(count, chance).tolist() if hedge is not None else [],
        cluster,
        hedge,
        budget,
        shorter,
    )
    waits = np.asarray(answers).reshape(queries, touched) - arrivals[:, None]
    warm = waits[queries // 5 :]
    return warm.max(axis=1), warm.ravel(), 1 + hedged / count


def _answers(
    arrivals: Sequence[float],
    servers: Sequence[int],
    works: Sequence[float],
    again: Sequence[float],
    cluster: Cluster,
    hedge: float | None,
    budget: float,
    shorter: bool,
) -> tuple[list[float], int]:
    """When each request is answered, and how many were asked of a second copy.

    A process works off what it has been asked in this order, so the end of a request is known when it comes.
    """
    free = [0.0] * (cluster.shards * cluster.copies)
    answers = [0.0] * len(arrivals)
    late: deque[tuple[float, int, int]] = deque()
    hedged = 0

    def ask_again(until: float) -> None:
        nonlocal hedged
        while late and late[0][0] <= until:
            now, number, server = late.popleft()
            shard, copy = divmod(server, cluster.copies)
            other = shard * cluster.copies + (copy + 1) % cluster.copies
            end = (free[other] if free[other] > now else now) + again[number]
            free[other] = end
            hedged += 1
            if end < answers[number]:
                answers[number] = end

    for number, (now, server, work) in enumerate(zip(arrivals, servers, works, strict=True)):
        if hedge is not None:
            ask_again(now)
        if shorter:
            first = server - server % cluster.copies
            server = min(range(first, first + cluster.copies), key=free.__getitem__)
        end = (free[server] if free[server] > now else now) + work
        free[server] = answers[number] = end
        if hedge is not None and end > now + hedge and hedged + len(late) <= budget * (number + 1):
            late.append((now + hedge, number, server))
    ask_again(np.inf)
    return answers, hedged


# -- other numbers of shards ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moving:
    """What ``audiomem reshard`` does: rows moved, steps, hours of a processor, rows in memory at once."""

    share: float
    rows: float
    steps: int
    reading: float
    writing: float
    vacuum: float
    at_once: float

    @property
    def hours(self) -> float:
        """Of all of it, one after another."""
        return self.reading + self.writing + self.vacuum


def moving(before: int, after: int, rows: float, buckets: int, measured: Measured) -> Moving:
    """From ``before`` to ``after`` shards: the steps are those of ``table/resharding.py``.

    A step reads every value of its shard twice, to count the rows of its buckets and to take those it moves.
    The shards that lost a tenth of their rows or more, and those that are new, are vacuumed once at the end.
    """
    now = np.asarray(spread(before, buckets))
    target = np.asarray(balanced(now.tolist(), after))
    moved = np.flatnonzero(now != target)
    of_bucket = rows / buckets
    of_shard = np.bincount(now, minlength=max(before, after)) * of_bucket
    pairs, counts = np.unique(np.stack([now[moved], target[moved]]), axis=1, return_counts=True)
    at_once = max(1, int(MOST_ROWS / of_bucket))
    steps = -(-counts // at_once)
    reading = writing = 0.0
    for source, number, count in zip(pairs[0], steps, counts, strict=True):
        reading += number * 2 * measured.read.at(of_shard[source])
        writing += number * measured.write.at(of_bucket * count / number)
    after_rows = np.bincount(target, minlength=len(of_shard)) * of_bucket
    lost = np.bincount(now[moved], minlength=len(of_shard)) * of_bucket
    worth = (lost >= of_shard / 10) & ((lost > 0) | (after_rows > of_shard))
    vacuum = sum(measured.vacuum.at(count) for count in after_rows[worth])
    return Moving(
        share=len(moved) / buckets,
        rows=len(moved) * of_bucket,
        steps=int(steps.sum()),
        reading=reading / 3600,
        writing=writing / 3600,
        vacuum=vacuum / 3600,
        at_once=min(at_once, int(counts.max(initial=0))) * of_bucket,
    )


# -- the manifest --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ManifestCost:
    """Bytes of a manifest as it is stored, seconds to pack and to read it, versions up to its limit."""

    stored: int
    packing: float
    reading: float
    most_versions: int


def manifest_cost(shards: int, versions: int, changed: int, schema: Schema, seed: int = 1) -> ManifestCost:
    """Of a manifest of ``shards`` shards after ``versions`` commits, each in ``changed`` of them."""
    chance = np.random.default_rng(seed)
    made = []
    counts = np.ones(shards, np.int64)
    for number in range(2, max(versions, CHUNK) + 2):
        at = _MICROS + number * 60_000_000
        numbers = np.sort(chance.choice(shards, changed, replace=False))
        counts[numbers] += 1
        times = at + chance.integers(0, 1_000_000, changed)
        pins = zip(numbers.tolist(), counts[numbers].tolist(), times.tolist(), strict=True)
        version = Version(number, at, 1000, 0)
        made.append(ShardedVersion(version, {shard: Pin(count, then) for shard, count, then in pins}))
    chunk = len(pack_chunk(made[:CHUNK])) / CHUNK
    made = made[:versions]
    whole = max(0, len(made) // CHUNK - 1)
    manifest = Manifest(
        table_id=chance.bytes(16),
        schema=schema,
        options={"profile": "embedded"},
        key=(0,),
        tables=((1, spread(shards)),),
        shards=tuple(
            ShardEntry(f"shard-{number:04d}.flac", chance.bytes(16), Pin(1, _MICROS + number))
            for number in range(shards)
        ),
        versions=(ShardedVersion(Version(1, _MICROS, 0, 0)), *made),
        zones=ShardZones.empty(schema, zone_columns(schema, None), shards),
    )
    chunks = tuple(
        pack_chunk(manifest.versions[start * CHUNK : (start + 1) * CHUNK]) for start in range(whole)
    )
    manifest = Manifest(**{**_fields(manifest), "chunks": chunks})
    start = time.process_time()
    data = pack_manifest(manifest)
    packed = time.process_time()
    unpack_manifest(data)
    done = time.process_time()
    return ManifestCost(len(data), packed - start, done - packed, int(MAX_RAW_BYTES / chunk))


def _fields(manifest: Manifest) -> dict[str, Any]:
    return {name: getattr(manifest, name) for name in Manifest.__dataclass_fields__}


# -- money ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars: assumptions near the lists of large clouds, without discounts.

    stored: a GB and month in an object store. disk: the same on a network disk. core: an hour of one core
    with 4 GB of memory. puts, gets: a million requests.
    """

    stored: float = 0.023
    disk: float = 0.08
    core: float = 0.045
    puts: float = 5.0
    gets: float = 0.40


HOURS = 730.0


def cores_for(seconds: float, a_second: float, load: float) -> float:
    """The cores that work ``load`` of their time on ``a_second`` queries of ``seconds`` of a processor."""
    return seconds * a_second / load
