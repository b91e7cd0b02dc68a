"""The machine: memory and its limits, hardware, durable renames, the lock of the writing process."""
