"""Writes the golden files again, after an intended change of a message or view: `python -m tests.bot.screens`."""

from tests.bot.screens.examples import screens
from tests.bot.screens.test_screens import GOLDEN, text_of

for feature, examples in screens().items():
    (GOLDEN / f"{feature}.txt").write_text(text_of(examples), "utf-8")
