"""What the machine gives: memory and its limits, hardware, durable renames, the lock of the writing process."""
