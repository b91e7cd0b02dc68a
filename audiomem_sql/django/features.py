"""What the backend can do: what SQLite can, without what it cannot do with virtual tables."""

from __future__ import annotations

from django.db.backends.sqlite3 import features


class DatabaseFeatures(features.DatabaseFeatures):
    """The features."""

    can_return_columns_from_insert = False
    can_return_rows_from_bulk_insert = False
    supports_update_conflicts = False
    supports_update_conflicts_with_target = False
    supports_foreign_keys = False
    can_introspect_foreign_keys = False
    supports_partial_indexes = False
    supports_expression_indexes = False
    supports_stored_generated_columns = False
    supports_virtual_generated_columns = False
    supports_sequence_reset = False
    can_clone_databases = False
