"""A decoder that crashes, in a real run: the video that it crashed on fails, and says so; the others are finished."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from clipfarm_assets_tests.graph.deployment import Deployment
from clipfarm_assets_tests.journeys.deployment import statuses
from clipfarm_assets_tests.media.making import Recipe, make_video, tone

VIDEOS = ("a", "victim", "b", "c")


@contextmanager
def crash_whoever_opens(name: str) -> Iterator[list[int]]:
    """Sends SIGSEGV to every process of ours that has a file of this name open, as long as the block lasts."""
    crashed: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            for process in psutil.Process().children(recursive=True):
                try:
                    if process.pid not in crashed and any(file.path.endswith(name) for file in process.open_files()):
                        process.send_signal(signal.SIGSEGV)
                        crashed.append(process.pid)
                except psutil.NoSuchProcess:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield crashed
    over.set()
    watcher.join()


def test_a_crash_of_the_decoder_fails_its_video_with_the_reason_and_the_others_are_finished(
    deployment: Deployment,
) -> None:
    for number, video_id in enumerate(VIDEOS):
        deployment.add(video_id, number)
    long = make_video(deployment.media, Recipe("long.mp4", n_frames=12, size=(64, 48)), audio=tone(240))
    long.replace(deployment.media / "victim.mp4")
    deployment.read_metadata()
    assert deployment.materialize(["raw_video"], VIDEOS).success
    with crash_whoever_opens("raw/video/victim.mp4") as crashed:
        assert not deployment.materialize(["raw_audio"], VIDEOS).success
    assert len(crashed) == 1
    expected = dict.fromkeys(VIDEOS, "Materialized") | {"victim": "Failed"}
    assert statuses(deployment.instance, "raw_audio") == expected
    row = deployment.ledger()["victim", "raw_audio"]
    assert (row["status"], row["retry_count"]) == ("fail", 1)
    assert "ended by SIGSEGV" in row["error"]
    assert deployment.materialize(["raw_audio"], ["victim"]).success
    assert statuses(deployment.instance, "raw_audio") == dict.fromkeys(VIDEOS, "Materialized")
