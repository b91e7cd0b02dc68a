"""What to read and how: plans, scans, lookups, fetches by rowid, top rows; filters of Python and Arrow."""
