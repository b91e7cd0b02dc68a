"""Files and folders to rows of the default table. Knows nothing of audio, and nothing of SQL.

sources (which files) → contents (characters) → readers: text, markdown, html (documents) → chunking
                                              → records (CSV, JSON Lines, Parquet)       → rows
"""
