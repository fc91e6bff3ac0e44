"""The messages and views of the bot, as a person reads them: golden files to read in a review."""
