"""The shell commands of the documents, executed in the order of each page."""
