"""Media files: what they hold, their exact frames, their sound, their words, and where they come from."""
