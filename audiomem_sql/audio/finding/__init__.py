"""Where the pages of a file are now: in place, moved, cut, encoded again, heard."""
