"""The write-ahead log: records of commits, their copies and parity. Knows no segments."""
