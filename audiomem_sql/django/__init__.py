"""Django's door: ``"ENGINE": "audiomem_sql.django"`` in ``DATABASES``.

It is Django's backend for SQLite. Each table of a model is virtual, with a FLAC file in the folder
``db.sqlite3.tables`` beside the database ``db.sqlite3``.
"""
