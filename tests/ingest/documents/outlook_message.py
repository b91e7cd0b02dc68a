"""Messages as Outlook saves them: a compound file ([MS-CFB]) of property streams ([MS-OXMSG])."""

from __future__ import annotations

import struct

_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_TEXT, _BYTES, _TIME = 0x001F, 0x0102, 0x0040

Storage = dict[str, "bytes | Storage"]


def properties(header: int, values: dict[int, object]) -> Storage:
    """The streams of one object; header: bytes before its list of properties."""
    entries, streams = bytearray(header), Storage()
    for number, value in values.items():
        if isinstance(value, int):
            entries += struct.pack("<HHIQ", _TIME, number, 6, value)
            continue
        kind, data = (_TEXT, value.encode("utf-16-le")) if isinstance(value, str) else (_BYTES, value)
        assert isinstance(data, bytes)
        entries += struct.pack("<HHIII", kind, number, 6, len(data) + 2 * (kind == _TEXT), 0)
        streams[f"__substg1.0_{number:04X}{kind:04X}"] = data
    return {**streams, "__properties_version1.0": bytes(entries)}


def compound_file(root: Storage) -> bytes:
    """A compound file of version 3; streams of less than 4,096 bytes are in the small sectors."""
    entries: list[list[object]] = []  # name, type, right, child, start, size
    small, small_fat = bytearray(), list[int]()

    def add(name: str, item: bytes | Storage) -> int:
        number = len(entries)
        if isinstance(item, bytes):
            start = len(small) // 64
            count = -(-len(item) // 64)
            assert len(item) < 4096
            small.extend(item.ljust(count * 64, b"\0"))
            small_fat.extend([*range(start + 1, start + count), _END] if count else [])
            entries.append([name, 2, _FREE, _FREE, start if count else _END, len(item)])
            return number
        entries.append([name, 1 if number else 5, _FREE, _FREE, 0, 0])
        before = None
        for child_name, child in sorted(item.items(), key=lambda pair: (len(pair[0]), pair[0].upper())):
            child_number = add(child_name, child)
            if before is None:
                entries[number][3] = child_number
            else:
                entries[before][2] = child_number
            before = child_number
        return number

    add("Root Entry", root)
    directory_sectors = -(-len(entries) // 4)
    small_sectors, small_fat_sectors = -(-len(small) // 512), -(-len(small_fat) // 128)
    sizes = [1, directory_sectors, small_fat_sectors, small_sectors]
    starts = [sum(sizes[:index]) for index in range(4)]
    assert sum(sizes) <= 128
    fat = [_FAT]
    for start, size in zip(starts[1:], sizes[1:], strict=True):
        fat += [*range(start + 1, start + size), _END] if size else []
    entries[0][4:] = [starts[3], len(small)]
    directory = b"".join(
        struct.pack(
            "<64sHBBIII36xIQ",
            str(name).encode("utf-16-le"),
            2 * len(str(name)) + 2,
            kind,
            1,
            _FREE,
            right,
            child,
            start,
            size,
        )
        for name, kind, right, child, start, size in entries
    )
    header = struct.pack(
        "<8s16xHHHHH6xIIIIIIIIII",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6, 0, 1, starts[1], 0, 4096,
        starts[2], small_fat_sectors, _END, 0, 0,
    )  # fmt: skip
    parts = [
        header.ljust(512, b"\xff"),
        struct.pack(f"<{len(fat)}I", *fat).ljust(512, b"\xff"),
        directory.ljust(directory_sectors * 512, b"\0"),
        struct.pack(f"<{len(small_fat)}I", *small_fat).ljust(small_fat_sectors * 512, b"\xff"),
        bytes(small).ljust(small_sectors * 512, b"\0"),
    ]
    return b"".join(parts)


def outlook_message() -> bytes:
    """A message with a receiver and an attachment."""
    sent_at = 13344473600 * 10**7  # 100 ns since 1601
    texts: dict[int, object] = {0x0037: "Übung", 0x1000: "Grüße.\r\nAnn", 0x001A: "IPM.Note"}
    sender: dict[int, object] = {0x0C1A: "Ann Lee", 0x0C1F: "ann@example.org"}
    attached: dict[int, object] = {0x3707: "plan.md", 0x3701: b"# Plan\n\nSell eggs."}
    root = properties(32, {**texts, **sender, 0x0039: sent_at})
    root["__recip_version1.0_#00000000"] = properties(8, {0x3001: "Bob", 0x39FE: "bob@example.org"})
    root["__attach_version1.0_#00000000"] = properties(8, attached)
    return compound_file(root)
