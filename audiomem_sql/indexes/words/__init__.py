"""The tokenizer, postings, FTS5 queries and BM25."""
