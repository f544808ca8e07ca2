"""The metadata CSV: what a row may say, how a file is read, and the tables that come of it."""
