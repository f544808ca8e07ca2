"""The camera, on small films whose subject's place is known, and on the samples, whose cuts are."""

import json
from pathlib import Path

import numpy as np
import pytest

from clipfarm_assets.export.subject import find_shots
from clipfarm_assets.media.frames import decode_sequentially
from clipfarm_assets_tests.export.staged import FILMS, shoot

TALL = (9 / 16) / (16 / 9)  # of a wide picture's columns, what a tall one keeps
SAMPLES = Path(__file__).parents[2] / "data" / "samples"


@pytest.mark.parametrize("name", FILMS)
def test_the_subject_stays_in_the_frame_and_without_one_the_camera_looks_at_the_middle(name: str) -> None:
    taken = list(shoot(FILMS[name]))
    shots = find_shots(((sec, frame) for sec, frame, _ in taken), "columns", TALL)
    camera = np.array([[s for s in shots if s.start_sec <= sec + 1e-9][-1].centre(sec) for sec, _, _ in taken])
    places = [place for _, _, place in taken]
    if places[0] is None:
        assert not any(shot.is_found for shot in shots) and np.all(camera == 0.5)
        return
    # Three quarters of the cut: its subject is not only in it, but not at its very edge.
    off = np.abs(camera - np.array(places, np.float64))
    assert np.mean(off < 0.75 * TALL / 2) >= 0.98
    within = np.abs(np.diff([shot.centres for shot in shots if shot.is_moving], 2))
    assert within.size == 0 or within.max() < 0.02


def test_cuts_are_found_at_their_frame() -> None:
    truth = json.loads((SAMPLES / "truth.json").read_text())["videos"]["game-ace"]
    frames = ((time_sec, frame) for _, time_sec, frame in decode_sequentially(SAMPLES / truth["file"]))
    shots = find_shots(frames, "columns", TALL)
    assert [shot.start_sec for shot in shots[1:]] == pytest.approx([cut["sec"] for cut in truth["cuts"]], abs=0.001)


def test_cuts_that_are_known_are_taken_as_they_are() -> None:
    frames = [(sec, frame) for sec, frame, _ in shoot(FILMS["talks_left"])]
    shots = find_shots(frames, "columns", TALL, cuts_sec=[0.0, 2.0, 99.0])
    assert [shot.start_sec for shot in shots] == [0.0, 2.0]
