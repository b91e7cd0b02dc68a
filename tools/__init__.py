"""Tools for the people who work on this project: what imports what, and which files an action walks through."""
