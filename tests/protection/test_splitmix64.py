"""splitmix64 against numbers of its reference implementation, and against Python's integers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.protection.splitmix64 import GAMMA, splitmix64, stream

#: The first numbers of the generator, by seed (Vigna's splitmix64.c, and java.util.SplittableRandom).
GOLDEN = {
    0: [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC],
    1234567: [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431],
}


def plain(seed: int, step: int) -> int:
    """Number ``step``, from 1 on, in Python's integers."""
    number = (seed + step * int(GAMMA)) % 2**64
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    number = (number ^ number >> 27) * 0x94D049BB133111EB % 2**64
    return number ^ number >> 31


def test_golden_values() -> None:
    for seed, numbers in GOLDEN.items():
        assert stream(seed, len(numbers)).tolist() == numbers
        assert splitmix64(np.array([seed], np.uint64)).tolist() == numbers[:1]


@given(st.integers(0, 2**64 - 1), st.integers(1, 9))
def test_the_same_as_in_python(seed: int, count: int) -> None:
    assert stream(seed, count).tolist() == [plain(seed, step) for step in range(1, count + 1)]
    assert splitmix64(np.array([seed], np.uint64)).tolist() == [plain(seed, 1)]


def test_it_is_defined_once() -> None:
    """The package has the constant in one place."""
    package = Path(__file__).parents[2] / "audiomem_sql"
    found = subprocess.run(
        ["grep", "-rliE", "bf58476d1ce4e5b9", package, "--include=*.py", "--include=*.c"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == [str(package / "protection" / "splitmix64.py")]
