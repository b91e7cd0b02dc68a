"""SQLite through apsw: the module, its tables and cursors in Python."""
