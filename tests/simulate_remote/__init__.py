"""Writers, readers and collectors of one table in an object store, all from one seed."""
