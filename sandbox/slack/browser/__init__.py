"""What the page in the browser asks for: a person's view of the workspace, and what they do in it."""
