"""The features of the bot, a package each: handlers, actions, pure views, and a provider of messages."""
