"""The option ``cache``: what tiers there are, and how they are written."""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Callable, Sequence

from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import OptionError, did_you_mean
from audiomem_sql.remote.tiers.cached_source import CachedSource
from audiomem_sql.remote.tiers.disk import DiskTier
from audiomem_sql.remote.tiers.memcached_tier import MemcachedTier
from audiomem_sql.remote.tiers.memory import MemoryTier
from audiomem_sql.remote.tiers.prices import Prices
from audiomem_sql.remote.tiers.redis_tier import RedisTier
from audiomem_sql.remote.tiers.registry import Lease
from audiomem_sql.remote.tiers.rocksdb_tier import RocksdbTier
from audiomem_sql.remote.tiers.server import ServerOptions
from audiomem_sql.remote.tiers.sizes import parse_size
from audiomem_sql.remote.tiers.tier import Tier

#: A key that is the same for all who ask for the same tier, and what makes it. Passwords are in keys, which
#: are never shown, and not in the names of tiers.
Maker = tuple[str, Callable[[], Tier]]
SMALLEST_BYTES = 10**6
_FORMS = {
    "memory": "memory:256MB",
    "disk": "disk:/var/cache/audiomem:10GB",
    "rocksdb": "rocksdb:/var/cache/audiomem:10GB",
    "redis": "redis://host:6379/0",
    "rediss": "rediss://host:6379/0",
    "memcached": "memcached://host:11211",
}
_PORTS = {"redis": 6379, "rediss": 6379, "memcached": 11211}
_NEXT = re.compile(rf",\s*(?=(?:{'|'.join(_FORMS)}):)", re.IGNORECASE)
#: What may follow a server's address: name of the parameter, least and largest value.
_NUMBERS = {
    "timeout": (0.001, 60.0),
    "pause": (0.0, 86_400.0),
    "keep": (1.0, 30 * 86_400.0),  # Memcached takes more for a date
    "million_requests": (0.0, 1e6),
    "gigabyte": (0.0, 1e6),
}


def cached(source: ByteSource, tiers: str | Sequence[str], *, store: str = "") -> ByteSource:
    """``source`` behind ``tiers``, the fastest first; it is taken over, also where this raises.

    tiers: such as ``['memory:256MB', 'disk:/var/cache/audiomem:10GB']``, or one text with commas; none: the
    source itself. store: see ``CachedSource``. OptionError for what is no tier, MissingExtraError without the
    client of a tier, StorageError for a folder that cannot be used.
    """
    try:
        makers = parse_tiers(tiers)
        if not makers:
            return source
        lease = Lease(makers)
        try:
            return CachedSource(source, lease, store)
        except BaseException:
            lease.end()
            raise
    except BaseException:
        source.close()
        raise


def parse_tiers(tiers: str | Sequence[str]) -> list[Maker]:
    """The tiers of the option ``cache``. OptionError for what is no tier, or is there twice."""
    texts = _NEXT.split(tiers) if isinstance(tiers, str) and tiers.strip() else tiers
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        if isinstance(texts, str):
            return []
        raise _refused(f"{tiers!r:.60} is no list of tiers", "memory")
    makers: list[Maker] = []
    for text in texts:
        maker = _parsed(text.strip())
        if maker[0] in [key for key, _ in makers]:
            raise OptionError(
                f"{_shown(text)} is there twice", place="option cache", remedy="Name each tier once."
            )
        makers.append(maker)
    return makers


def local_file_is_not_cached(path: str) -> OptionError:
    """What to say where ``cache`` is given for a local file.

    The system keeps a file that was read in memory already; a copy beside it would only cost. To ignore the
    option would hide that a path was meant to be a URL.
    """
    return OptionError(
        "is a local file, which is read without a cache",
        file=path,
        place="option cache",
        remedy="Leave cache out, or name a URL.",
    )


def _parsed(text: str) -> Maker:
    kind, colon, rest = text.partition(":")
    kind = kind.lower()
    if kind not in _FORMS or not colon:
        known = did_you_mean(kind, _FORMS)
        raise OptionError(
            f"{_shown(text)!r:.80} is no tier",
            place="option cache",
            remedy=f"{known}Write one such as {', '.join(_FORMS.values())}.",
        )
    try:
        if kind in _PORTS:
            return _server(kind, text)
        return _memory(rest) if kind == "memory" else _folder(kind, rest)
    except OptionError as error:
        raise error.at(place="option cache") from None


def _memory(rest: str) -> Maker:
    capacity = _capacity(rest, "memory")
    name = f"memory:{rest.strip()}"
    return f"memory:{capacity}", lambda: MemoryTier(name, capacity)


def _folder(kind: str, rest: str) -> Maker:
    path, colon, size = rest.rpartition(":")
    if not colon or not path or "\0" in path:
        raise _refused(f"{f'{kind}:{rest}'!r:.80} has no folder, or no size", kind)
    capacity = _capacity(size, kind)
    folder = os.path.abspath(os.path.expanduser(path))
    key, name = f"{kind}:{folder}:{capacity}", f"{kind}:{folder}:{size.strip()}"
    if kind == "disk":
        return key, lambda: DiskTier(name, folder, capacity)
    return key, lambda: RocksdbTier(name, folder, capacity)


def _capacity(text: str, kind: str) -> int:
    try:
        capacity = parse_size(text)
    except OptionError as error:
        raise _refused(error.what, kind) from None
    if capacity < SMALLEST_BYTES:
        raise _refused(f"{text.strip()} is less than a tier needs, which is 1MB", kind)
    return capacity


def _server(kind: str, text: str) -> Maker:
    shown = _shown(text)
    try:
        url = urllib.parse.urlsplit(text)
        port = url.port or _PORTS[kind]
    except ValueError:
        raise _refused(f"{shown!r:.80} is no address of a server", kind) from None
    database = url.path.strip("/")
    if not url.hostname or url.fragment or (database and (kind == "memcached" or not database.isdecimal())):
        raise _refused(f"{shown!r:.80} is no address of a server", kind)
    options = _server_options(url.query, kind)
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    if kind == "memcached":
        if url.username or url.password:
            raise _refused("memcached:// takes no user and no password", kind)
        name = _named(f"memcached://{host}:{port}", url.query)
        address = (url.hostname, port)
        return name, lambda: MemcachedTier(name, address, options)
    name = _named(f"{kind}://{host}:{port}/{database or 0}", url.query)
    whole = url._replace(scheme=kind, query="", path=f"/{database or 0}").geturl()
    return f"{whole}?{url.query}", lambda: RedisTier(name, whole, options)


def _named(address: str, query: str) -> str:
    return f"{address}?{query}" if query else address


def _server_options(query: str, kind: str) -> ServerOptions:
    given: dict[str, float] = {}
    for name, text in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if name not in _NUMBERS:
            raise OptionError(
                f"{name!r:.40} is no parameter of a server",
                remedy=f"{did_you_mean(name, _NUMBERS)}There are {', '.join(_NUMBERS)}.",
            )
        low, high = _NUMBERS[name]
        try:
            given[name] = float(text)
        except ValueError:
            given[name] = -1.0
        if not low <= given[name] <= high:
            raise OptionError(
                f"{name}={text!r:.40} is no number from {low:g} to {high:g}",
                remedy=f"Write {_FORMS[kind]}?{name}=NUMBER.",
            )
    usual = ServerOptions()
    return ServerOptions(
        given.get("timeout", usual.timeout),
        given.get("pause", usual.pause),
        int(given.get("keep", usual.keep)),
        Prices(given.get("million_requests", 0.0), given.get("gigabyte", 0.0)),
    )


def _shown(text: str) -> str:
    """What can be shown of a tier: no user and no password."""
    return re.sub(r"//.*@", "//", text)


def _refused(what: str, kind: str) -> OptionError:
    return OptionError(what, place="option cache", remedy=f"Write {_FORMS[kind]}.")
