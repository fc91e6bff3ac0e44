"""Privacy: erasure requests, and members that Iterable rejects for good."""
