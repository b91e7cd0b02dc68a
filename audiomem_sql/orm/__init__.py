"""What object mappers need beyond SQLite's own dialects: tables are virtual, and each has a file.

``table_files`` finds, names and deletes the files, for SQLAlchemy and for Django.
"""
