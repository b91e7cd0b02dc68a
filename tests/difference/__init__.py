"""Native STRICT tables and ours, told the same: ``python -m tests.difference --statements 1000000``."""
