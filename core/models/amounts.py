"""Numbers of people in messages, written alike everywhere."""


def people(count: int) -> str:
    """Return a number of people in words: "1 person", "1,500 people"."""
    return "1 person" if count == 1 else f"{count:,} people"
