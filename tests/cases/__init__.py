"""Files as people really have them, each a named case with what a user expects of it."""
