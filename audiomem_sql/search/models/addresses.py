"""Addresses of endpoints, as users write them."""

from __future__ import annotations

from urllib.parse import urlsplit

from audiomem_sql.errors import OptionError


def checked_url(url: str) -> str:
    """``url`` without a slash at its end. OptionError unless it is one of HTTP."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or not url.isprintable() or " " in url or parts.query or parts.fragment:
        raise OptionError(
            f"{url!r:.100} is not the address of an endpoint",
            remedy="Use one such as http://127.0.0.1:8000/v1.",
        )
    return url.rstrip("/")
