"""Transactions, appends, keys, commits alone and in groups."""
