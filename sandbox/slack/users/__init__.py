"""The actions of people in the workspace: write, press, fill in, open the home tab."""
