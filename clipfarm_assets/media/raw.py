"""The raw artifacts of each video: MP4, WAV and transcript, made by the workers, several videos at a time.

Each function takes videos and gives, in the order in which they are done, what was made of each or why nothing could
be. Files that it hands over live until the next result is asked for.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import av

from clipfarm_assets.attempts import allow_for, made_of_each, raw_file
from clipfarm_assets.errors import NoAudioTrack, SourceError
from clipfarm_assets.media.audio import write_wav
from clipfarm_assets.media.containers import to_mp4
from clipfarm_assets.media.download import FetchOptions
from clipfarm_assets.media.fetch import fetch
from clipfarm_assets.media.opening import open_media
from clipfarm_assets.media.probe import probe
from clipfarm_assets.media.thumbnail import thumbnail
from clipfarm_assets.media.transcripts import EMPTY, Transcript, from_subtitle_stream, parse_transcript, to_json
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Json, Made
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.workers.messages import Limits
from clipfarm_assets.workers.worker import allow

_THUMBNAIL_SIDE = 160


@dataclass(frozen=True)
class Sources:
    """Where videos and sidecars come from: how to fetch, and where captions that a download brought are kept."""

    store: ObjectStore
    options: FetchOptions


def captions_key(video_id: str) -> str:
    """Where the captions lie that the downloader brought."""
    return f"clipfarm/raw/captions/{video_id}.vtt"


def fetch_videos(items: Iterable[Item], sources: Sources, limits: Limits) -> Iterator[Result]:
    """Fetches each video and makes an MP4 of it. Details are the probe's; the picture is the middle frame."""
    return made_of_each(items, partial(_fetch_video, sources), limits)


def extract_audios(items: Iterable[Item], store: ObjectStore, limits: Limits) -> Iterator[Result]:
    """Makes a mono 16 kHz WAV of each video's sound; a video without sound is an outcome."""
    return made_of_each(items, partial(extract_audio, store), limits)


def extract_transcripts(items: Iterable[Item], sources: Sources, limits: Limits) -> Iterator[Result]:
    """Takes each transcript from the sidecar, else a subtitle stream, else the downloader's captions: none listens."""
    return made_of_each(items, partial(_extract_transcript, sources), limits)


def made_of_transcript(transcript: Transcript, *, by_model: bool) -> Made:
    """The raw text of a transcript; one in which nothing is said is an outcome of its own."""
    details: dict[str, Json] = {
        "cues": len(transcript.cues), "characters": len(transcript.transcript), "source": transcript.source,
        "language": transcript.language,
    }  # fmt: skip
    status = Status.EMPTY_TRANSCRIPT if transcript.is_empty else Status.SUCCESS
    return Made(to_json(transcript), status, details, by_model=by_model)


def _fetch_video(sources: Sources, item: Item) -> Made:
    video_id, folder = item.video.video_id, _folder()
    allow(sources.options.deadline_sec)
    fetched = fetch(item.video.url, folder, sources.options)
    path = folder / "video.mp4"
    allow_for(_claimed_duration_sec(fetched.path))
    container = to_mp4(fetched.path, path)
    info = probe(path)
    if fetched.captions is not None:
        sources.store.put(captions_key(video_id), fetched.captions.read_bytes())
    else:
        sources.store.delete(captions_key(video_id))
    details: dict[str, Json] = {**asdict(info), "stored": str(container), "captions": fetched.captions is not None}
    return Made(path, details=details, picture=thumbnail(path, max_side=_THUMBNAIL_SIDE))


def _claimed_duration_sec(path: Path) -> float | None:
    """As the header has it."""
    with open_media(path) as media:
        return None if media.container.duration is None else media.container.duration / av.time_base


def extract_audio(store: ObjectStore, item: Item) -> Made:
    """The sound of one video as a mono 16 kHz WAV among the temporary files; none is an outcome.

    Raises:
        VideoError: the video is not there, or its sound cannot be decoded.
    """
    with raw_file(item, "raw_video", store) as video:
        path = _folder() / "audio.wav"
        try:
            return Made(path, details=asdict(write_wav(video, path)))
        except NoAudioTrack:
            return Made(None, Status.NO_AUDIO_TRACK)


def _folder() -> Path:
    """A new folder among the temporary files of this video's work, which go when its result has been used."""
    return Path(tempfile.mkdtemp(prefix="clipfarm-"))


def _extract_transcript(sources: Sources, item: Item) -> Made:
    return made_of_transcript(_transcript(item, _folder(), sources), by_model=False)


def _transcript(item: Item, folder: Path, sources: Sources) -> Transcript:
    video = item.video
    if video.transcript_path:
        try:
            sidecar = fetch(video.transcript_path, folder, sources.options).path
        except SourceError as error:
            hint = "Check the row's transcript_path; it is tried again three times."
            raise type(error)(error.what, hint=hint) from None
        return parse_transcript(sidecar.read_bytes(), Path(video.transcript_path).name)
    with raw_file(item, "raw_video", sources.store) as path:
        if (found := from_subtitle_stream(path)) is not None:
            return found
    captions = sources.store.get(captions_key(video.video_id))
    return parse_transcript(captions, "captions.vtt") if captions is not None else EMPTY
