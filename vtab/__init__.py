"""Doors for databases: SQLite (apsw)."""
