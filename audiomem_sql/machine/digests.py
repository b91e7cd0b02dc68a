"""blake2b and MD5 as CPython has them built in.

``hashlib`` would load OpenSSL for them, which is 3.4 MB of memory and no faster.
"""

from __future__ import annotations

try:
    from _blake2 import blake2b
    from _md5 import md5  # type: ignore[import-not-found,unused-ignore]
except ImportError:  # a Python that was built without them
    from hashlib import blake2b, md5

__all__ = ["blake2b", "md5"]
