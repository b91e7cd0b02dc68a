"""The models behind the embedder protocol."""
