"""Both doors into DuckDB: its Python package and the loadable extension."""
