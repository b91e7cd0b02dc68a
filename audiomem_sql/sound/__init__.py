"""What a table sounds like: the health of its bands, its cover, its spectrogram."""
