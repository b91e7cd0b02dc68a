"""Pieces: up to 892 bytes with their CRC-32C and Reed-Solomon parity.

A piece is written several times, and put together again from its copies.

    payload | CRC-32C, from a start value | parity: 32 bytes for each codeword

The data, payload and CRC, are shared out to as few codewords of RS(255, 223) as hold them, interleaved as in
a page (:mod:`audiomem_sql.protection.page_code`); zeros that are not stored stand before them, so codewords
are shortened. A wrong byte in 16 of a codeword's, 6 %, does no harm to a single copy.

Of several copies, whatever passes the CRC is right. Tried, from the cheapest on: each copy; what is before
the edge of a sector from one copy and what is behind it from another, because sectors are lost as a whole;
the bytes that most copies have; and all of these corrected by their parity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from audiomem_sql.arrays import U8Array
from audiomem_sql.protection.crc32c import CRC_BYTES, crc32c
from audiomem_sql.protection.page_code import PageCode
from audiomem_sql.protection.reed_solomon import ReedSolomon

#: What disks lose at once.
SECTOR_BYTES = 4096
_CODE = ReedSolomon(255, 223)
#: The most payload of a piece: data of four codewords, as in a cell of a page.
PAYLOAD_BYTES = 4 * _CODE.k - CRC_BYTES


def piece_bytes(payload_bytes: int) -> int:
    """Bytes of a piece with so much payload."""
    data = payload_bytes + CRC_BYTES
    return data + _depth(data) * _CODE.parities


def encode_piece(payload: bytes, seed: int) -> bytes:
    """The piece of ``payload``, at most PAYLOAD_BYTES; its CRC starts from ``seed``."""
    (piece,) = encode_pieces((payload, seed))
    return piece


def encode_pieces(*payloads: tuple[bytes, int]) -> list[bytes]:
    """The pieces of payloads with their seeds, as :func:`encode_piece` makes each.

    Their parity is computed at once, which takes about as long as that of one.
    """
    datas = [
        payload + crc32c(payload, seed & 0xFFFFFFFF).to_bytes(CRC_BYTES, "little")
        for payload, seed in payloads
    ]
    depths = [_depth(len(data)) for data in datas]
    longest = max(-(-len(data) // depth) for data, depth in zip(datas, depths, strict=True))
    columns = [
        np.frombuffer(data.rjust(depth * longest, b"\0"), np.uint8).reshape(longest, depth)
        for data, depth in zip(datas, depths, strict=True)
    ]
    parity = _CODE.parity((np.concatenate(columns, axis=1) if len(columns) > 1 else columns[0]).T)
    pieces, first = [], 0
    for data, depth in zip(datas, depths, strict=True):
        pieces.append(data + parity[first : first + depth].T.tobytes())
        first += depth
    return pieces


def encode_full_pieces(payloads: bytes, seed: int) -> bytes:
    """One piece after another of payloads of PAYLOAD_BYTES each.

    The CRCs start from ``seed``, ``seed`` + 1, …
    """
    count = len(payloads) // PAYLOAD_BYTES
    data = b"".join(
        payload + crc32c(payload, (seed + n) & 0xFFFFFFFF).to_bytes(CRC_BYTES, "little")
        for n, payload in enumerate(
            payloads[start : start + PAYLOAD_BYTES] for start in range(0, len(payloads), PAYLOAD_BYTES)
        )
    )
    return PageCode(_CODE, 4).encode(np.frombuffer(data, np.uint8).reshape(count, -1)).tobytes()


def payload_of(piece: bytes, payload_bytes: int, seed: int) -> bytes | None:
    """The payload of a piece that is intact, else None."""
    payload = piece[:payload_bytes]
    crc = piece[payload_bytes : payload_bytes + CRC_BYTES]
    return payload if crc32c(payload, seed & 0xFFFFFFFF) == int.from_bytes(crc, "little") else None


def readings(copies: Sequence[bytes], offset: int, *, corrected: bool = True) -> Iterator[bytes]:
    """Readings of the piece at ``offset`` of the file, the likeliest first.

    copies: what is there in each copy, all of one length.

    None of them is believed before its CRC was looked at. Without ``corrected`` the parity is left out.
    """
    distinct: dict[bytes, None] = {}
    for each in _combined(copies, offset):
        if each not in distinct:
            distinct[each] = None
            yield each
    if not corrected:
        return
    for each in _corrected(list(distinct)):
        if each not in distinct:
            distinct[each] = None
            yield each


def _combined(copies: Sequence[bytes], offset: int) -> Iterator[bytes]:
    yield from copies
    edge = -offset % SECTOR_BYTES
    if 0 < edge < len(copies[0]):
        for begin in dict.fromkeys(each[:edge] for each in copies):
            for end in dict.fromkeys(each[edge:] for each in copies):
                yield begin + end
    yield _majority(copies)


def _majority(copies: Sequence[bytes]) -> bytes:
    """For each place the byte that most copies have; of several such that of the first copy."""
    stacked = np.frombuffer(b"".join(copies), np.uint8).reshape(len(copies), -1)
    votes = np.zeros(stacked.shape, np.uint8)
    for each in stacked:
        votes += stacked == each
    return bytes(stacked[votes.argmax(axis=0), np.arange(stacked.shape[1])])


def _corrected(pieces: Sequence[bytes]) -> Iterator[bytes]:
    """The pieces as their parity makes them, where it can; these differ from those given."""
    size = len(pieces[0])
    depth = -(-size // _CODE.n)
    before = np.zeros((len(pieces), depth * _CODE.n - size), np.uint8)
    received: U8Array = np.frombuffer(b"".join(pieces), np.uint8).reshape(len(pieces), size)
    found = PageCode(_CODE, depth).decode(np.concatenate([before, received], axis=1))
    for data, intact, piece in zip(found.data, found.intact, pieces, strict=True):
        if intact.all():
            fixed = data[before.shape[1] :].tobytes()
            yield fixed + piece[len(fixed) :]


def _depth(data_bytes: int) -> int:
    return -(-data_bytes // _CODE.k)
