"""One seeded simulator of disk, processes and people; ``make simulate`` runs many seeds."""
