"""How many examples hypothesis tries: all in `make test-all`, an eighth in `make test`."""

from hypothesis import settings

QUICK, THOROUGH = "quick", "thorough"

# How fast an example is says something about the machine, and nothing about the code.
settings.register_profile(THOROUGH, deadline=None, max_examples=100)
settings.register_profile(QUICK, deadline=None, max_examples=12)


def examples(number: int) -> int:
    """Return the number of examples for a test that needs another number than the profile's."""
    return number if settings.get_current_profile_name() == THOROUGH else max(1, number // 8)
