"""Tables for assistants, over the Model Context Protocol: what ``audiomem mcp`` runs (docs/FRAMEWORKS.md)."""

from __future__ import annotations

from importlib import import_module

from audiomem_sql.errors import MissingExtraError


def check_extra() -> None:
    """MissingExtraError unless what serves assistants is installed."""
    for package in ("mcp.server.mcpserver", "fastapi", "uvicorn"):
        try:
            import_module(package)
        except ImportError:
            raise MissingExtraError(
                f"serving assistants needs the package {package.partition('.')[0]}",
                remedy="Install it with: pip install 'audiomem-sql[mcp]'",
            ) from None
