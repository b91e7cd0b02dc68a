"""Wrong bytes a fixed stride apart, as a stuck line of a memory chip leaves them.

The codewords of a page that can be corrected tell where bytes are wrong. If nearly all of these are a stride
apart, the others are where it goes on, and a code corrects twice as many bytes of which it knows the place.
"""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array

#: Strides that are looked for. One below leaves more wrong bytes than the code has parity, one above no more
#: than it corrects anyway.
STRIDES = range(64, 7, -1)
#: Fewer wrong bytes tell nothing, nor do those of which a smaller share is a stride apart.
LEAST_PLACES = 24
LEAST_SHARE = 0.9
#: Parts of a page in which a stride may begin anew: FLAC puts a byte between the channels of a frame.
_PARTS = 8


def regular_places(wrong: I64Array, size: int) -> BoolArray | None:
    """Which of ``size`` bytes are a stride apart as the bytes ``wrong`` are, bool (size,).

    wrong: places of bytes, int64 (n,). None if they are at no fixed stride.
    """
    if len(wrong) < LEAST_PLACES:
        return None
    part = -(-size // _PARTS)
    for stride in STRIDES:
        counts = np.bincount(wrong // part * stride + wrong % stride, minlength=_PARTS * stride)
        by_part = counts.reshape(_PARTS, stride)
        if by_part.max(axis=1).sum() >= LEAST_SHARE * len(wrong):
            remainders = np.where(by_part.any(axis=1), by_part.argmax(axis=1), stride)  # stride: none
            places = np.arange(size)
            return np.asarray(places % stride == remainders[places // part])
    return None
