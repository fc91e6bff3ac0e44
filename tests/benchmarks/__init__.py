"""Benchmarks: the cost of a member, the use of the rate limit, and whether memory stays flat. Run by `make bench`."""
