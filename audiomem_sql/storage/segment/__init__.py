"""An immutable file of rows: catalog, labels, writer, and the readers of every kind of segment."""
