"""Text and meaning: embedders, vectors and words in few bytes, and indexes that find the nearest.

Everything here is texts, arrays and bytes; it knows neither segments nor SQL.
"""
