"""A short run of the fuzzer of the library in C; ``make fuzz-native`` is long, and has AddressSanitizer."""

from __future__ import annotations

import ctypes
import os
import random

import audiomem_sql
from audiomem_sql.machine.native import bound

from .native_blocks import NEARLY, case_of, compare, one, stored


def built() -> ctypes.CDLL:
    found = bound(os.path.join(os.path.dirname(audiomem_sql.__file__), "audiomem_blocks.so"))
    assert found is not None, "the library was not built: on Debian, apt install libzstd-dev"
    return found


def test_c_says_what_python_says() -> None:
    native = built()
    accepted = [one(native, random.Random(seed)) for seed in range(300)]
    assert 50 < sum(accepted) < 250


def test_text_is_utf8_as_arrow_takes_it() -> None:
    """At each place in what is looked at in steps, and cut across two values."""
    native = built()
    for part in [*NEARLY, "é".encode(), "日".encode(), "😀".encode()]:
        for before in (0, 1, 31, 32, 33, 64):
            whole = b"x" * before + part + b"y" * 40
            assert compare(native, case_of([[whole]])) == _is_utf8(whole)
            assert compare(native, case_of([[whole]], text=False))
            for cut in range(1, len(part)):
                at = before + cut
                assert not compare(native, case_of([[whole[:at], whole[at:]]]))
                assert not compare(native, case_of([[whole[:at]], [whole[at:]]]))
            assert compare(native, case_of([[b"", whole, b"", b""]])) == _is_utf8(whole)


def test_lengths_of_three_bytes_do_not_exist() -> None:
    for width in range(6):
        block = bytes([width, 1, *bytes(max(0, width - 1)), 120])
        assert compare(built(), stored([block], [1], b"", text=True)) == (width in (1, 2, 4))
    assert not compare(built(), stored([b"\3\1\0\0\0x"], [1], b"", text=True))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
