"""Benchmarks: each measures against a minimal program in the same run."""
