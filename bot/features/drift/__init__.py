"""Lists that differ from what was synced: repair, who differs, keep as it is."""
