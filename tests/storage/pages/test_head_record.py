"""The head record: its bytes, and what is not taken for one."""

from __future__ import annotations

import struct

from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.storage.pages.head_record import NO_SESSION, HeadRecord

RECORD = HeadRecord(7, b"table id 16 byte", 12, b"segment!", b"digest of 16 by.", 5)


def sealed(data: bytes) -> bytes:
    return data + crc32c(data).to_bytes(4, "little")


def test_its_bytes() -> None:
    head = b"AuMH" + bytes([1, 0, 0, 0]) + struct.pack("<Q", 7) + b"table id 16 byte" + struct.pack("<Q", 12)
    head += b"segment!" + b"digest of 16 by." + struct.pack("<Q", 5) + bytes(8) + bytes(4)
    assert RECORD.pack() == sealed(head)
    assert len(RECORD.pack()) == 88
    opened = RECORD.announcing(b"session!", 9)
    assert opened.pack()[5] == 1
    assert opened.pack()[72:80] == b"session!"
    for record in (RECORD, opened):
        assert HeadRecord.unpack(record.pack()) == record
        assert HeadRecord.unpack(record.pack() + b"more") == record


def test_open_and_closed() -> None:
    assert RECORD.session == NO_SESSION == bytes(8)
    assert not RECORD.is_open
    opened = RECORD.announcing(b"session!", 9)
    assert opened.is_open
    assert opened.generation == 9
    assert opened.announcing(NO_SESSION, 7) == RECORD


def test_what_is_none() -> None:
    packed = RECORD.pack()
    assert HeadRecord.unpack(b"") is None
    for length in range(len(packed)):
        assert HeadRecord.unpack(packed[:length]) is None
    for at in range(len(packed)):
        spoiled = bytearray(packed)
        spoiled[at] ^= 0x80
        assert HeadRecord.unpack(bytes(spoiled)) is None
    assert HeadRecord.unpack(sealed(b"AuMX" + packed[4:-4])) is None
    for version in (0, 2, 255):
        assert HeadRecord.unpack(sealed(packed[:4] + bytes([version]) + packed[5:-4])) is None
