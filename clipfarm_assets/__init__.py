"""clipfarm: a data platform for short video, as one Dagster asset graph."""

__version__ = "0.1.0"
