"""Files of a table: pages of cells, segments of rows, the write-ahead log."""
