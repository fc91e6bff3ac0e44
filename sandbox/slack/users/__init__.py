"""What people do in the workspace: write, press, fill in, open the home tab."""
