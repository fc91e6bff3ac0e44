"""The API of the page in the browser: a person's view of the workspace, and their actions."""
