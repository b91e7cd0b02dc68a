"""Bytes as frequencies: band plans, slots, the modulator and the demodulator."""
