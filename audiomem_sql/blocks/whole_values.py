"""Whether bytes are one whole MessagePack value, told before any memory is taken for it."""

from __future__ import annotations

import msgpack

#: Lists inside each other may each claim as many elements as there are bytes: of fewer bytes than these, that
#: is no matter.
_SMALL = 1 << 10


def check_whole(packed: bytes) -> None:
    """ValueError or UnpackException unless ``packed`` begins with a whole value.

    A list that claims more elements than there are takes memory for all of them in some versions of msgpack,
    and so does each list inside it. In a whole value every element has a byte of its own.
    """
    if len(packed) > _SMALL:
        unpacker = msgpack.Unpacker(max_buffer_size=len(packed), read_size=_SMALL)
        unpacker.feed(packed)
        unpacker.skip()
