"""How often Python searches for objects that only refer to one another."""

import gc

#: The number of new objects after which Python searches (its default is 700). Imports and syncs create many objects and
#: few cycles, so that frequent searches cost more than they free.
THRESHOLD = 50_000
#: The same while modules are imported: more objects than all imports of a command create. A search through the objects
#: of 50,000 takes 25 ms, and finds nothing.
IMPORT_THRESHOLD = 250_000


def begin_imports() -> None:
    """Do not search while the modules of a command are imported. For a process that ends with the command."""
    gc.set_threshold(IMPORT_THRESHOLD)


def end_imports() -> None:
    """Search as usual from now on, and never through what is there already, if `begin_imports` was called."""
    if gc.get_threshold()[0] == IMPORT_THRESHOLD:
        gc.freeze()
        gc.set_threshold(THRESHOLD)
