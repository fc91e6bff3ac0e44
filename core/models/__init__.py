"""What a run and a batch are: plain values that every layer shares."""
