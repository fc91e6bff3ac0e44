"""Who may do what: every listener of the bot, with everyone who can cause it to be called."""
