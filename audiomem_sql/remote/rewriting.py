"""One object of a store, replaced as a whole on the condition that nobody else replaced it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from audiomem_sql.errors import StorageError, UnsupportedError
from audiomem_sql.machine.urls import shown
from audiomem_sql.remote.contract import Pin, TransientFaultError
from audiomem_sql.remote.faults import another_snapshot, fault_of
from audiomem_sql.remote.forks import check_fork
from audiomem_sql.remote.options import RemoteOptions
from audiomem_sql.remote.stores import BUCKETS, MEMORY, client, store_of

#: What one request may carry: more goes in parts, which take no condition.
MOST_BYTES = 5 * 10**9
#: Bytes a second that an upload is given time for at least.
_SLOWEST = 1 << 20


def replace_object(url: str, pin: Pin, path: str) -> None:
    """Put the file at ``path`` in the place of the object at ``url``, which must be in the state ``pin``.

    Its type, class of storage and other attributes stay. One request, without a second try: whoever calls
    this looks afterwards what is there, since an answer can be lost. UnsupportedError where nothing can be
    written on a condition; StorageError if the object was replaced, or nobody says whether it took place.
    """
    name, scheme = shown(url), urlsplit(url).scheme.lower()
    size = Path(path).stat().st_size
    if scheme not in (*BUCKETS, MEMORY):
        raise UnsupportedError("cannot be written to", file=name, remedy="Put a whole copy there by hand.")
    if not pin.is_lasting:
        raise UnsupportedError(
            "the store gives the object no ETag, so it cannot be replaced on a condition",
            file=name,
            remedy="Put a whole copy there by hand.",
        )
    if size > MOST_BYTES:
        raise UnsupportedError(
            f"{size:,} bytes are more than one request can carry",
            file=name,
            remedy="Put a whole copy there by hand.",
        )
    check_fork(name)
    module = client()
    timeout = RemoteOptions.of_environment().timeout
    store, key = store_of(url, timeout + size / _SLOWEST)
    try:
        there = module.get(store, key, options={"range": (0, 1)})
        if there.meta["e_tag"] != pin.tag:
            raise another_snapshot(name)
        condition = {"e_tag": pin.tag}
        if there.meta.get("version"):  # Google knows the condition of a generation alone
            condition["version"] = there.meta["version"]
        known: dict[str, Any] = dict(there.attributes)
        module.put(store, key, Path(path), mode=condition, attributes=known or None, use_multipart=False)
    except StorageError:
        raise
    except Exception as error:
        if type(error).__name__ in ("PreconditionError", "AlreadyExistsError"):
            raise another_snapshot(name) from None
        if isinstance(error, NotImplementedError):
            raise UnsupportedError("the store knows no conditional writes", file=name) from None
        fault = fault_of(error, name, opened=True)
        if isinstance(fault, TransientFaultError):
            raise StorageError(f"cannot be written: {fault.cause}", file=name, remedy="Try again.") from None
        raise fault from None
