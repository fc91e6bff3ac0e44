"""Privacy: erasure requests, and the suppression of members that Iterable rejects permanently."""
