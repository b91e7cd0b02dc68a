"""Stores of other programs to tables: rows, vectors and ids as they are, nothing embedded anew.

known (which kind of store) → one module a kind (its collections) → collection (a schema, batches of Arrow)
                                                                  → convert (a new table)

Sources are opened to be read only, or copied first where their library cannot do that.
"""
