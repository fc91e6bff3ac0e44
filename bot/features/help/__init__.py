"""The slash command and its help."""
