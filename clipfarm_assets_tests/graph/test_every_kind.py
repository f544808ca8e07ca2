"""One row for each kind of medium, through the whole graph: the status of every stage is known beforehand."""

from pathlib import Path

import pytest

from clipfarm_assets_tests.graph.deployment import Deployment, expect, expect_failed
from clipfarm_assets_tests.media import kinds

Statuses = dict[str, str]

NOT_A_VIDEO = expect_failed("raw_video", "unsupported_media")
MUTE = {"raw_audio": "no_audio_track", "audio_embedding": "no_audio_track"}
WORDLESS = {"raw_text": "empty_transcript", "text_embedding": "empty_transcript"}

SOUND = expect(**WORDLESS)
SILENT = expect(**MUTE, **WORDLESS)
SOUND_LOST = expect_failed("raw_audio", "unsupported_media") | WORDLESS

# Kinds that are not SILENT.
EXPECTED: dict[str, Statuses] = {
    **dict.fromkeys(
        (
            *("sound.mp4", "sound.mkv", "sound.ts", "sound.avi", "sound.webm", "sound_fragmented.mp4"),
            *("late_sound.mp4", "late_sound.mkv", "late_sound.webm"),
            *("early_sound.mp4", "early_sound.mkv", "early_sound.webm"),
            *("no_duration.webm", "cover.mp4", "broken_sound.mp4"),
        ),
        SOUND,
    ),
    "subtitles.mp4": expect(),
    "subtitles.mkv": expect(),
    **dict.fromkeys(
        (
            *("cover_only.mp4", "cover.mp3", "sound_only.mp4", "sound_only.flac"),
            *("all_frames_damaged.mp4", "cut_no_index.mp4"),
            *("empty.mp4", "page.mp4", "zeros.mp4", "playlist.mp4"),
        ),
        NOT_A_VIDEO,
    ),
}
CUT = [name for name in kinds.KINDS if name.startswith("cut_") and name not in EXPECTED]
OTHERS = [name for name in kinds.KINDS if name not in CUT]


@pytest.fixture(scope="module")
def statuses(module_deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Statuses]:
    folder = tmp_path_factory.mktemp("kinds")
    for name in kinds.KINDS:
        path = kinds.make(name, folder)
        module_deployment.rows[video_id(name)] = {"url": str(path), "title": name}
    module_deployment.run()
    found: dict[str, Statuses] = {name: {} for name in kinds.KINDS}
    names = {video_id(name): name for name in kinds.KINDS}
    for (video, stage), row in module_deployment.ledger().items():
        found[names[video]][stage] = row["status"]
    return found


def video_id(name: str) -> str:
    return name.replace(".", "-")


@pytest.mark.slow
def test_every_kind_ends_as_expected_in_every_stage(statuses: dict[str, Statuses]) -> None:
    assert {name: statuses[name] for name in OTHERS} == {name: EXPECTED.get(name, SILENT) for name in OTHERS}


@pytest.mark.slow
def test_a_truncated_video_ends_in_what_is_left_of_it_or_is_unsupported(statuses: dict[str, Statuses]) -> None:
    for name in CUT:
        assert statuses[name] in (SOUND, SILENT, SOUND_LOST, NOT_A_VIDEO), name
    assert sum(statuses[name] == NOT_A_VIDEO for name in CUT) <= 4


@pytest.mark.slow
def test_what_is_stored_of_a_video_lies_there_whole(
    module_deployment: Deployment, statuses: dict[str, Statuses]
) -> None:
    store = Path(module_deployment.folder / "store" / "clipfarm" / "raw" / "video")
    stored = {path.stem for path in store.glob("*.mp4")}
    assert stored == {video_id(name) for name, of in statuses.items() if of["raw_video"] == "success"}
