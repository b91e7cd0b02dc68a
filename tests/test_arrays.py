"""What rooms share on arrays."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from audiomem_sql.arrays import distinct


@pytest.mark.parametrize("dtype", ["u1", "u2", "i8", "u8", "S3", "?"])
def test_distinct_is_unique(dtype: str) -> None:
    rng = np.random.default_rng(7)
    for count in (0, 1, 2, 50, 1000):
        values = rng.integers(0, 120, count).astype(dtype)
        found = distinct(values)
        assert found.dtype == values.dtype
        assert np.array_equal(found, np.unique(values))


def test_distinct_does_not_import_masked_arrays() -> None:
    code = (
        "import sys, numpy as np; from audiomem_sql.arrays import distinct\n"
        "print(distinct(np.array([3, 1, 3])), 'numpy.ma' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[1 3] False\n"
