"""Benchmarks: ratios against stock tools, measured in the same run. Never part of the tests."""
