"""Types, schemas and values of columns."""
