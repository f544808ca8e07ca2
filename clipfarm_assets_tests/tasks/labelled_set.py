"""The labelled segments: 300 in 25 groups, many of them neighbours, and 52 that belong nowhere.

``labelled/segments.csv`` was written by a language model, every line by itself, and reviewed. ``group`` is empty for
noise. ``half`` tells on which groups parameters are chosen and on which they are reported; neighbouring groups are on
the same side. ``labelled/vectors.npy`` are the descriptions' vectors by the packaged text model, row by row;
``python -m clipfarm_assets_tests.tasks.labelled_set`` makes them again.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np

from clipfarm_assets.embeddings.text import load_text_encoder
from clipfarm_assets.models.catalog import resolve_models
from clipfarm_assets.segments.flags import Encode
from clipfarm_assets.segments.model import Failure, Segment
from clipfarm_assets.settings import Settings
from clipfarm_assets.tasks.vectors import Floats

FOLDER = Path(__file__).with_name("labelled")
TEAM = "labelled"


@dataclass(frozen=True, eq=False)
class Labelled:
    """Segments with the truth: ``groups`` holds ``""`` for noise."""

    segments: tuple[Segment, ...]
    vectors: Floats
    groups: tuple[str, ...]
    halves: tuple[str, ...]

    def half(self, name: str) -> "Labelled":
        return self.take([row for row, half in enumerate(self.halves) if half == name])

    def take(self, rows: Sequence[int]) -> "Labelled":
        chosen = list(rows)
        return Labelled(
            tuple(self.segments[row] for row in chosen),
            self.vectors[chosen],
            tuple(self.groups[row] for row in chosen),
            tuple(self.halves[row] for row in chosen),
        )


@cache
def labelled() -> Labelled:
    """All of them, in the order of the file."""
    with (FOLDER / "segments.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    segments = tuple(
        Segment(
            team=TEAM,
            video_id=row["video_id"],
            user_id=row["user_id"],
            start_sec=float(row["start_sec"]),
            end_sec=float(row["end_sec"]),
            recorded_at=datetime.fromisoformat(row["recorded_at"]),
            description=row["description"],
            failure=Failure(row["failure"]),
            confusion=row["confusion"] == "true",
            abandonment=row["abandonment"] == "true",
            described_by="labelled",
        )
        for row in rows
    )
    path = FOLDER / "vectors.npy"  # half precision, to keep the repository small
    vectors = np.load(path).astype(np.float32) if path.exists() else np.zeros((len(rows), 0), np.float32)
    return Labelled(segments, vectors, tuple(r["group"] for r in rows), tuple(r["half"] for r in rows))


@cache
def packaged_encoder() -> Encode:
    """The product's text encoder with the packaged model."""
    settings = Settings(_env_file=None, device="cpu", profile="stand-in")
    encoder: Encode = load_text_encoder(resolve_models(settings, None).text, settings, None).embed_sentences
    return encoder


def main() -> None:
    """Embeds the descriptions again."""
    vectors = packaged_encoder()([segment.description for segment in labelled().segments])
    np.save(FOLDER / "vectors.npy", vectors.astype(np.float16))


if __name__ == "__main__":
    main()
