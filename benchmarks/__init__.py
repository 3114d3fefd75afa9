"""Benchmarks: mailhooks beside its yardsticks, in turns, every reply compared."""
