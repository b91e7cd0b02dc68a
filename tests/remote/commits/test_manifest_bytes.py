"""The bytes of manifests: what is written is read, a fixture stays readable, all else is an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard

from audiomem_sql.errors import DamagedFileError, FormatVersionError, LimitError
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.remote.commits import Footprint, Manifest, Mark
from audiomem_sql.remote.commits.manifest import Done, InlineEntry, PageEntry, Retired, SegmentEntry
from audiomem_sql.remote.commits.manifest_bytes import (
    HEADER,
    MANIFEST_MAGIC,
    MAX_RAW_BYTES,
    pack_manifest,
    pack_page,
    unpack_manifest,
    unpack_page,
)

FOLDER = Path(__file__).parents[2] / "fixtures" / "remote"


def name(epoch: int, number: int, kind: str = "flac") -> str:
    return f"{epoch:08x}-{number:032x}.{kind}"


def segment(version: int, **others: Any) -> SegmentEntry:
    entry = SegmentEntry(
        name(1, version), 1000 + version, Mark(f'"{version}"'), bytes([version] * 16), version, version,
        10, 10 * version, 10 * version + 9, 1_000_000 + version, bytes([100 + version] * 16),
    )  # fmt: skip
    return replace(entry, **others)


def manifest() -> Manifest:
    """One with something in every field."""
    base = segment(1, name="base", mark=Mark('"0"', "17"), first_version=2, last_version=3, commit=bytes(16))
    return Manifest(
        table=bytes(range(16)),
        seq=9,
        epoch=2,
        version=8,
        time=1_700_000_000_000_000,
        next_rowid=90,
        schema=1,
        oldest=2,
        retention=7,
        segments=(base, segment(4), segment(5), segment(7, storage_class="GLACIER")),
        inline=(
            InlineEntry(6, 1_000_006, 60, 2, bytes([106] * 16), b"\x80"),
            InlineEntry(8, 1_000_008, 80, 0, bytes([108] * 16), b"\x81\xa1a\x01"),
        ),
        tags={"before": 4, "β": 8},
        recent=(
            Done(bytes([107] * 16), 7, 7, Footprint(None, (1, (1 << 64) - 1), True), 70, 10),
            Done(bytes([1] * 16), 8, 7, None),
            Done(bytes([108] * 16), 9, 8, Footprint((-5, 3), None), 80),
        ),
        retired=(Retired(name(1, 99), 5, 6),),
        pages=(PageEntry(name(2, 50, "page"), 300, 2),),
        writer=bytes([7] * 16),
    )


def with_history() -> Manifest:
    """The same with segments of old versions, which the first release with manifests does not know."""
    old = segment(90, first_version=2, last_version=4), segment(91, first_version=2, last_version=8)
    return replace(manifest(), history=old)


def read(data: bytes) -> Manifest:
    return unpack_manifest(data, lambda page: manifest().segments[: page.count])


def test_what_is_written_is_read() -> None:
    assert read(pack_manifest(manifest())) == manifest()
    assert read(pack_manifest(with_history())) == with_history()
    assert with_history().names - manifest().names == {name(1, 90), name(1, 91)}
    assert read(pack_manifest(Manifest(bytes(16)))) == Manifest(bytes(16))
    assert unpack_page(pack_page(manifest().segments)) == manifest().segments


def test_the_fixture() -> None:
    """It was written when the format was made, and is never written anew."""
    entries = unpack_page((FOLDER / "page-1").read_bytes())
    assert entries == manifest().segments[:2]
    data = (FOLDER / "manifest-1").read_bytes()
    assert unpack_manifest(data, lambda page: entries) == manifest()
    assert data[:8] == b"\x01\x00AMMANI"


def sealed(raw: bytes, magic: bytes = MANIFEST_MAGIC, number: int = 1) -> bytes:
    """``raw`` as the content of a manifest."""
    stored = zstandard.ZstdCompressor().compress(raw)
    data = HEADER.pack(number, magic, len(raw), len(stored)) + stored
    return data + crc32c(data).to_bytes(4, "little")


def content() -> dict[str, Any]:
    data = pack_manifest(with_history())
    unpacked = msgpack.unpackb(zstandard.ZstdDecompressor().decompress(data[HEADER.size : -4]))
    assert isinstance(unpacked, dict)
    return unpacked


def test_what_a_manifest_remembers() -> None:
    """A replacement may be forgotten in part: only what is after the oldest one is there as a whole."""
    whole = manifest()
    assert whole.remembers(7, 0)
    assert not whole.remembers(6, 2)
    assert whole.remembers(6, 3)  # every segment after version 3 says which commit made it


def test_keys_that_are_added_later_are_ignored() -> None:
    changed = content() | {"later": 1}
    changed["segments"] = [[*entry, "more"] for entry in changed["segments"]]
    assert read(sealed(msgpack.packb(changed))) == with_history()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("requires", ["manifest-numbers", "sails"], "does not have: sails"),
        ("requires", None, "TypeError"),
        ("table", bytes(15), "has not 16 bytes"),
        ("seq", -1, "no number from 0"),
        ("epoch", 1 << 32, "no number from 1"),
        ("version", True, "no number"),
        ("version", 9, "the newest version is in no segment"),
        ("oldest", 9, "its oldest version is missing"),
        ("tags", {"a": 9}, "a version that there is not"),
        ("tags", {"a" * 2000: 1}, "short text"),
        ("tags", [1], "AttributeError"),
        ("pages", [], "its oldest version is missing"),
        ("pages", [["../secret", 1, 2]], "a name that no object"),
        ("pages", [[name(2, 50, "page"), 1, 3]], "versions are missing, or there twice"),
        ("segments", [[]], "ValueError"),
        ("inline", [], "versions are missing, or there twice"),
        ("inline", [[6, 1, 60, 2, bytes(16), "text"]], "something else than bytes"),
        ("recent", [[bytes(16), 1, 1, [[], [], 1], 1, 0]], "truth value"),
        ("recent", {}, "something else than a list"),
        ("retired", [[name(1, 7), 5, 6]], "an object is named twice"),
        ("writer", b"", "has not 16 bytes"),
    ],
)
def test_contradictions(key: str, value: Any, said: str) -> None:
    data = sealed(msgpack.packb(content() | {key: value}))
    with pytest.raises((DamagedFileError, FormatVersionError), match=said):
        read(data)


def test_old_programs_refuse_what_they_would_collect() -> None:
    """One that does not know of segments of old versions would take them for garbage."""
    assert "history" in content()["requires"]
    without = pack_manifest(manifest())
    assert b"history" not in zstandard.ZstdDecompressor().decompress(without[HEADER.size : -4])


@pytest.mark.parametrize("lasts", [(2, 8), (4, 9), (5, 4), (4, 4)])
def test_history_out_of_order(lasts: tuple[int, int]) -> None:
    """Segments of old versions end behind the oldest one, each later than the one before."""
    old = [
        replace(entry, last_version=last) for entry, last in zip(with_history().history, lasts, strict=True)
    ]
    with pytest.raises(DamagedFileError, match="segments of old versions are out of order"):
        read(pack_manifest(replace(with_history(), history=tuple(old))))


def test_order_and_overlap() -> None:
    first, *others = manifest().segments
    reversed_versions = replace(first, first_version=4)
    broken = [*others, first], [first, others[0], others[0], others[2]], [reversed_versions, *others]
    for segments in broken:
        with pytest.raises(DamagedFileError, match="contradicts itself"):
            read(pack_manifest(replace(manifest(), segments=tuple(segments), pages=())))
    with pytest.raises(DamagedFileError, match="another number of segments"):
        unpack_manifest(pack_manifest(manifest()), lambda page: ())


def test_bytes_that_are_no_manifest() -> None:
    data = pack_manifest(manifest())
    for end in range(len(data)):
        with pytest.raises(DamagedFileError):
            read(data[:end])
    for place in range(2, len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(DamagedFileError):
            read(bytes(changed))
    with pytest.raises(FormatVersionError, match="format 2"):
        read(b"\x02" + data[1:])
    with pytest.raises(DamagedFileError, match="no page"):
        unpack_page(data)
    for raw in (b"", b"\xc1", b"\xdd\xff\xff\xff\xff" * 500, msgpack.packb([1]), msgpack.packb({})):
        with pytest.raises(DamagedFileError, match="cannot be understood"):
            read(sealed(raw))


def test_sizes_that_are_no_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = msgpack.packb(content())
    stored = zstandard.ZstdCompressor().compress(raw)
    for said in (len(raw) + 1, MAX_RAW_BYTES + 1, 0xFFFFFFFF):
        data = HEADER.pack(1, MANIFEST_MAGIC, said, len(stored)) + stored
        with pytest.raises(DamagedFileError, match="two sizes"):
            read(data + crc32c(data).to_bytes(4, "little"))
    monkeypatch.setattr("audiomem_sql.remote.commits.manifest_bytes.MAX_RAW_BYTES", 5000)
    many = {f"tag {number}": 1 for number in range(1000)}
    with pytest.raises(LimitError, match="keep fewer tags"):
        pack_manifest(replace(manifest(), tags=many))
