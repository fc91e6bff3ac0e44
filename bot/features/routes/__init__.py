"""Alert routes: the list of a connection, and the form that adds one."""
