"""Steps from one format version to the next, numbered. A file of any version in ``SUPPORTED`` opens.

Version 1 is the first; a step to version n will stand in a module ``v<n>`` with ``upgrade``, and be recorded in the
file by the commit that applies it.
"""

from __future__ import annotations

from audiomem_sql.pages import FORMAT_VERSION

#: Format versions that this package reads.
SUPPORTED = range(1, FORMAT_VERSION + 1)
