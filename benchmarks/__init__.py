"""The targets of the design, measured side by side with SQLite, Parquet and DuckDB in one run.

``python -m benchmarks`` runs them.
"""
