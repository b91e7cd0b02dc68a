"""A table to files of rows of other programs: what ``audiomem export`` does.

exporting (which rows, a file that has its name when it is whole) → writers (one a kind)
"""
