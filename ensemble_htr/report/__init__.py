"""Views of readings for people."""
