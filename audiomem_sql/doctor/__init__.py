"""What is wrong with an installation or a table, and what to do about it: ``audiomem doctor``."""

from __future__ import annotations

from audiomem_sql.doctor.finding import FAIL, INFO, OK, WARN, Finding
from audiomem_sql.doctor.installation import check_installation
from audiomem_sql.doctor.table import check_table

__all__ = ["FAIL", "INFO", "OK", "WARN", "Finding", "check_installation", "check_table"]
