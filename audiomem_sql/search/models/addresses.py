"""Addresses of endpoints and keys for them, as users write them."""

from __future__ import annotations

from urllib.parse import urlsplit

from audiomem_sql.errors import OptionError


def checked_url(url: str) -> str:
    """``url`` without a slash at its end. OptionError unless it is one of HTTP, or if a password is in it."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        has_password = "@" in (parts.netloc if is_good else url)
    except ValueError:
        is_good, has_password = False, "@" in url
    if has_password:  # would stand in messages, and is not sent
        raise OptionError(
            "the address of an endpoint has a name or a password in it",
            remedy="Use the address alone, and OPENAI_API_KEY or audiomem_sql.allow_model(name, key=…).",
        )
    if not is_good or not url.isprintable() or " " in url or parts.query or parts.fragment:
        raise OptionError(
            f"{url!r:.100} is not the address of an endpoint",
            remedy="Use one such as http://127.0.0.1:8000/v1.",
        )
    return url.rstrip("/")


def checked_key(key: str) -> str:
    """``key`` without white space around it. OptionError, without it, if no header of HTTP can hold it."""
    key = key.strip()
    if not key.isascii() or not key.isprintable():
        raise OptionError(
            "the key for an endpoint has characters that no key has",
            remedy="Check OPENAI_API_KEY, or the key that audiomem_sql.allow_model got.",
        )
    return key
