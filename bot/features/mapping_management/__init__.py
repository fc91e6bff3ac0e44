"""Managing mappings that are in use: edit, archive, restore, delete."""
