"""Writes the pages of docs/reference that say what the code says. Run by `make docs`."""
