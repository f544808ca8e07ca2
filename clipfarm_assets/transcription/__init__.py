"""Speech to a transcript with times, where a video brings none."""
