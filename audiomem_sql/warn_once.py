"""Warnings that are given once in a process, as if the caller of this package had given them."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Hashable

from audiomem_sql.errors import DamageWarning

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
#: What a warning was given about.
warned: set[Hashable] = set()


def warn_once(about: Hashable, message: str, category: type[Warning] = DamageWarning) -> None:
    """Warn, as if the caller of this package had, unless ``about`` was warned about before."""
    if about in warned:
        return
    warned.add(about)
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def warn_or_log(about: Hashable, message: str, category: type[Warning] = DamageWarning) -> None:
    """:func:`warn_once` about what is durable already, and must not seem to fail.

    Where warnings are made errors the message is logged.
    """
    try:
        warn_once(about, message, category)
    except category:
        logging.getLogger("audiomem_sql").warning(message)
