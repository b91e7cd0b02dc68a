"""The seal of a segment: what is packed comes back, and what cannot be is told."""

from __future__ import annotations

from typing import Any

import pytest

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.segment.seal import (
    FIRST_SEAL,
    MAX_EARLIER,
    EarlierSegment,
    Folded,
    Link,
    Seal,
    digest_of,
)

MOST = (1 << 63) - 1
PAGES = (1 << 32) - 1
ID, DIGEST, SESSION = b"segment!", b"digest of 16 by.", b"session!"
EARLIER = EarlierSegment(ID, 1, 2, 3, 4, 5, 6, DIGEST)
SEAL = Seal(9, Link(ID, DIGEST, 8), (EARLIER, EARLIER), Folded(SESSION, 7, DIGEST), DIGEST)


def test_what_is_packed_comes_back() -> None:
    largest = EarlierSegment(ID, PAGES, PAGES, PAGES, 255, MOST, MOST, DIGEST)
    least = EarlierSegment(ID, 0, 0, 0, 0, 0, 0, DIGEST)
    most = Seal(MOST, Link(ID, DIGEST, MOST), (largest, least), Folded(SESSION, MOST, DIGEST), DIGEST)
    for seal in (SEAL, FIRST_SEAL, most, Seal(0)):
        assert Seal.unpack(seal.pack()) == seal
    assert Seal(1, None, (), None, bytes(16)) == FIRST_SEAL


def test_how_it_is_packed() -> None:
    assert SEAL.pack() == {
        "generation": 9,
        "before": [ID, DIGEST, 8],
        "earlier": [[ID, 1, 2, 3, 4, 5, 6, DIGEST]] * 2,
        "folded": [SESSION, 7, DIGEST],
        "data_digest": DIGEST,
    }
    assert FIRST_SEAL.pack() == {
        "generation": 1,
        "before": None,
        "earlier": [],
        "folded": None,
        "data_digest": bytes(16),
    }


WRONG_COUNTS = (-1, MOST + 1, True, 1.0, "1", None, b"1")
WRONG_IDS = (b"", b"7 bytes", b"9 bytes!!", "8 chars!", None, 8)
WRONG_DIGESTS = (b"", DIGEST[:-1], DIGEST + b"!", "digest of 16 by.", None)


def _cases() -> list[tuple[tuple[str | int, ...], Any]]:
    """(where in the map, a value that cannot be there)."""
    earlier = {0: WRONG_IDS, 4: (-1, 256), 5: (-1, MOST + 1), 6: (-1, MOST + 1), 7: WRONG_DIGESTS}
    earlier |= dict.fromkeys((1, 2, 3), (-1, PAGES + 1))
    wrong = {
        ("generation",): WRONG_COUNTS,
        ("before", 0): WRONG_IDS,
        ("before", 1): WRONG_DIGESTS,
        ("before", 2): WRONG_COUNTS,
        ("folded", 0): WRONG_IDS,
        ("folded", 1): WRONG_COUNTS,
        ("folded", 2): WRONG_DIGESTS,
        ("data_digest",): WRONG_DIGESTS,
        **{("earlier", 1, place): values for place, values in earlier.items()},
    }
    return [(place, value) for place, values in wrong.items() for value in values]


@pytest.mark.parametrize(("place", "value"), _cases())
def test_what_cannot_be_is_told(place: tuple[str | int, ...], value: Any) -> None:
    packed: Any = SEAL.pack()
    packed["earlier"] = [list(each) for each in packed["earlier"]]
    inside = packed
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    with pytest.raises(DamagedFileError):
        Seal.unpack(packed)


def test_so_many_earlier_segments() -> None:
    most = Seal(1, earlier=(EARLIER,) * MAX_EARLIER)
    packed = most.pack()
    assert Seal.unpack(packed) == most
    packed["earlier"].append(packed["earlier"][0])
    with pytest.raises(DamagedFileError, match="more segments"):
        Seal.unpack(packed)
    assert MAX_EARLIER == 65536


def test_digests() -> None:
    assert digest_of(b"") == bytes.fromhex("cae66941d9efbd404e4d88758ea67670")  # BLAKE2b-128 of nothing
    assert digest_of(b"a") != digest_of(b"b")
