"""Files of rows to a table with typed columns, in one commit: what ``audiomem import`` does.

inputs (which files, of which kind) → one module a kind (its columns, and batches of Arrow)
                                    → rows (a stream that the engine takes) → importing (a table)

Numbers, dates and texts stay what they are: a type is chosen that holds every value, or the column is text.
"""
