"""A short run of the fuzzer of the library in C; ``make fuzz-native`` is long, and has AddressSanitizer."""

from __future__ import annotations

import ctypes
import os
import random

import audiomem_sql
from audiomem_sql.machine.native import bound

from .native_blocks import NEARLY, case_of, compare, one


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


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
