"""Sizes as people write them: ``256MB``, ``1.5 GiB``."""

from __future__ import annotations

import re

from audiomem_sql.errors import OptionError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY_UNITS = {"KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([KMGT]?I?)B?", re.IGNORECASE | re.ASCII)


def parse_size(text: str) -> int:
    """The bytes that ``text`` stands for: KB, MB, GB, TB are powers of 1,000, KiB and so on of 1,024.

    OptionError for what is no size, and for none at all.
    """
    match = _SIZE.fullmatch(text.strip())
    unit = None if match is None else (_UNITS | _BINARY_UNITS).get(match[2].upper())
    size = 0 if match is None or unit is None else int(float(match[1]) * unit)
    if size <= 0:
        raise OptionError(f"{text!r:.60} is no size", remedy="Write one such as 256MB, 10GB or 512MiB.")
    return size
