"""Real recordings through the whole graph: each ends in a result or in a status that says why not."""

import os
from pathlib import Path

import pytest

from clipfarm_assets_tests.graph.deployment import PROJECT, Deployment, expect, expect_failed

SPEECHLESS = {"raw_text": "empty_transcript", "text_embedding": "empty_transcript"}
NOT_DECODABLE = expect_failed("raw_video", "unsupported_media")
EXPECTED = {
    "nasa_13013.mp4": expect(),
    "nasa_13013_rotated.mp4": expect(raw_audio="no_audio_track", audio_embedding="no_audio_track", **SPEECHLESS),
    "big_buck_bunny_0_30.webm": expect(**SPEECHLESS),
    "chaplin.mp4": expect(**SPEECHLESS),
    "no_duration.webm": expect(**SPEECHLESS),
    "video_with_failing_audio.mp4": expect(**SPEECHLESS),
    "jfk.flac": NOT_DECODABLE,
    "broken-upload.mp4": NOT_DECODABLE,
}


@pytest.fixture(scope="module")
def statuses(module_deployment: Deployment) -> dict[str, dict[str, str]]:
    folder = os.environ.get("CLIPFARM_TEST_MEDIA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CLIPFARM_TEST_MEDIA does not name a folder that holds the real recordings")
    for name in EXPECTED:
        path = Path(folder) / name
        path = path if path.is_file() else PROJECT / "data" / "samples" / name
        module_deployment.rows[Path(name).stem] = {"url": str(path), "title": name}
    module_deployment.run()
    return {name: module_deployment.statuses(Path(name).stem) for name in EXPECTED}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_a_recording_ends_in_a_result_or_a_named_status(statuses: dict[str, dict[str, str]], name: str) -> None:
    assert statuses[name] == EXPECTED[name]
