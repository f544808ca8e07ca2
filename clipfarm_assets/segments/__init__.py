"""Described time spans of videos: what a segment is (``model``), and its flags where no LLM answers (``flags``)."""
