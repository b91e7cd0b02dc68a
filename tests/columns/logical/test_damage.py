"""Bytes that are no value: found, whatever they are, and before memory is taken for what they claim."""

from __future__ import annotations

import contextlib
import os
import random
import tracemalloc
from typing import Any

import pyarrow as pa
import pytest

from audiomem_sql.columns.logical.fixed import stored_type
from audiomem_sql.columns.logical.forms import arrow_form, stored_form
from audiomem_sql.columns.logical.texts import sql_images
from audiomem_sql.errors import DamagedFileError
from columns.logical.random_types import ALONE, Values, node

ROUNDS = int(os.environ.get("AUDIOMEM_TYPES", "150"))


def mutated(value: bytes, dice: random.Random) -> bytes:
    made = bytearray(value)
    for _ in range(dice.randint(1, 4)):
        kind = dice.randrange(4)
        if kind == 0 and made:
            made[dice.randrange(len(made))] = dice.choice([0, 1, 127, 128, 255, dice.randrange(256)])
        elif kind == 1:
            made = made[: dice.randint(0, len(made))]
        elif kind == 2:
            made += dice.randbytes(dice.randint(1, 8))
        elif len(made) >= 4:
            place = dice.randrange(len(made) - 3)
            made[place : place + 4] = dice.choice([0xFFFFFFFF, 0x7FFFFFFF, 0x80000000]).to_bytes(4, "little")
    return bytes(made)


def test_damaged_nested_values_are_found() -> None:
    dice = random.Random(1)
    found = 0
    for seed in range(ROUNDS):
        values = Values(seed)
        kind = values.column()
        if not kind.is_nested:
            continue
        stored = stored_form(kind, values.array(kind, 3)).to_pylist()
        given = [None if cell is None else mutated(cell, dice) for cell in stored]
        given.append(dice.randbytes(dice.randint(0, 40)))
        tracemalloc.start()
        for show in (arrow_form, sql_images):
            try:
                made: Any = show(kind, pa.array(given, pa.binary()))
            except DamagedFileError:
                found += 1
            else:
                assert len(made) == len(given)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
        tracemalloc.stop()
    assert found > ROUNDS // 2


HUGE = (0x7FFFFFFF).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("spelling", "value"),
    [
        ("BIGINT[]", b"\0" + HUGE),
        ("BIGINT[]", b"\0" + HUGE + b"\0"),
        ("NULL[]", b"\0" + HUGE + b"\0"),
        ("NULL[]", b"\0" + HUGE + b"\1"),
        ("BOOLEAN[][]", b"\0" + HUGE + b"\0" + HUGE),
        ("BIGINT[256][256][256][]", b"\0" + HUGE + b"\0"),
        ("STRUCT(a NULL, b NULL)[]", b"\0" + HUGE + b"\0\0\0"),
        ("VARCHAR[]", b"\0\1\0\0\0\0" + HUGE),
        ("MAP(VARCHAR, NULL)", b"\0" + HUGE + b"\0"),
        ("BIGINT[]", b"\2\0\0\0\0\0"),
        ("BIGINT[]", b"\1\0\0\0\0\0\0"),
        ("BIGINT[]", b"\0\1\0\0\0\1\2" + bytes(8)),
        ("BIGINT[]", b"\0\0\0\0\0\0\0"),
        ("BIGINT[]", b""),
        ("MAP(BIGINT, BIGINT)", b"\0\1\0\0\0\1\0" + bytes(8) + b"\0" + bytes(8)),
        ("ENUM('a')[]", b"\0\1\0\0\0\0\1\0\0\0b"),
        ("VARCHAR[]", b"\0\1\0\0\0\0\1\0\0\0\xff"),
    ],
)
def test_bytes_that_claim_too_much_or_are_none(spelling: str, value: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(DamagedFileError):
        arrow_form(node(spelling), pa.array([value], pa.binary()))
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_plain_values_that_are_none() -> None:
    dice = random.Random(2)
    for spelling in ALONE:
        kind = node(spelling)
        target = stored_type(kind)
        for _ in range(20):
            given: list[Any] = [dice.randbytes(dice.randint(0, 40)) for _ in range(3)]
            if target == pa.int64():
                given = [dice.randint(-(1 << 63), (1 << 63) - 1) for _ in range(3)]
            elif target == pa.string():
                given = ["what"]
            for show in (arrow_form, sql_images):
                with contextlib.suppress(DamagedFileError):
                    assert len(show(kind, pa.array(given, target))) == len(given)
