"""Benchmarks: what a member costs, how well the rate is used, and whether memory stays flat. Run by `make bench`."""
