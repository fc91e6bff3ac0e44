"""The engine: it reads an audience, updates an Iterable list and accounts for every member, without Slack."""

import os

# Arrow's own memory pools keep some 60 MB more of what planning once needed. Arrow reads this when it is imported, and
# `pyarrow.set_memory_pool` has no effect on streams and on arrays that are taken from others.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
