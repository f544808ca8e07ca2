"""Candidate clips of a video, their score with its evidence, and the batches that people work on."""
