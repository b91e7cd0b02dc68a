"""The container: frames, metadata blocks, comments and pictures, the decoder and the writer."""
