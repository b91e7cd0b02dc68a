"""Tests of what the house is kept with: the programs in tools/ and the comparison in benchmarks/."""
