"""The raw artifacts of each video: MP4, WAV and transcript, made one video at a time.

Each function takes videos and gives, in the same order, what was made of each or why nothing could be. Files that it
hands over live until the next video is asked for.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from clipfarm_assets.attempts import attempt, raw_file
from clipfarm_assets.errors import NoAudioTrack, SourceError
from clipfarm_assets.media.audio import write_wav
from clipfarm_assets.media.containers import to_mp4
from clipfarm_assets.media.download import FetchOptions
from clipfarm_assets.media.fetch import fetch
from clipfarm_assets.media.probe import probe
from clipfarm_assets.media.thumbnail import thumbnail
from clipfarm_assets.media.transcripts import EMPTY, Transcript, from_subtitle_stream, parse_transcript, to_json
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Json, Made
from clipfarm_assets.store.object_store import ObjectStore

_THUMBNAIL_SIDE = 160


@dataclass(frozen=True)
class Sources:
    """Where videos and sidecars come from: how to fetch, and where captions that a download brought are kept."""

    store: ObjectStore
    options: FetchOptions


def captions_key(video_id: str) -> str:
    """Where the captions lie that the downloader brought."""
    return f"clipfarm/raw/captions/{video_id}.vtt"


def fetch_videos(items: Iterable[Item], sources: Sources) -> Iterator[Result]:
    """Fetches each video and makes an MP4 of it. Details are the probe's; the picture is the middle frame."""
    return _each(items, lambda item, folder: _fetch_video(item, folder, sources))


def extract_audios(items: Iterable[Item], store: ObjectStore) -> Iterator[Result]:
    """Makes a mono 16 kHz WAV of each video's sound; a video without sound is an outcome."""
    return _each(items, lambda item, folder: _extract_audio(item, folder, store))


def extract_transcripts(items: Iterable[Item], sources: Sources) -> Iterator[Result]:
    """Takes each transcript from the sidecar, else a subtitle stream, else the downloader's captions."""
    return _each(items, lambda item, folder: _extract_transcript(item, folder, sources))


def _each(items: Iterable[Item], make: Callable[[Item, Path], Made]) -> Iterator[Result]:
    for item in items:
        with tempfile.TemporaryDirectory(prefix="clipfarm-") as folder:
            made = attempt(make, item, Path(folder))
            yield item, Made(None, Status.NO_AUDIO_TRACK) if isinstance(made, NoAudioTrack) else made


def _fetch_video(item: Item, folder: Path, sources: Sources) -> Made:
    video_id = item.video.video_id
    fetched = fetch(item.video.url, folder, sources.options)
    path = folder / "video.mp4"
    container = to_mp4(fetched.path, path)
    info = probe(path)
    if fetched.captions is not None:
        sources.store.put(captions_key(video_id), fetched.captions.read_bytes())
    else:
        sources.store.delete(captions_key(video_id))
    details: dict[str, Json] = {**asdict(info), "stored": str(container), "captions": fetched.captions is not None}
    return Made(path, details=details, picture=thumbnail(path, max_side=_THUMBNAIL_SIDE))


def _extract_audio(item: Item, folder: Path, store: ObjectStore) -> Made:
    with raw_file(item, "raw_video", store) as video:
        path = folder / "audio.wav"
        return Made(path, details=asdict(write_wav(video, path)))


def _extract_transcript(item: Item, folder: Path, sources: Sources) -> Made:
    transcript = _transcript(item, folder, sources)
    status = Status.SUCCESS if transcript.transcript.strip() else Status.EMPTY_TRANSCRIPT
    details: dict[str, Json] = {
        "cues": len(transcript.cues), "characters": len(transcript.transcript), "source": transcript.source,
        "language": transcript.language,
    }  # fmt: skip
    return Made(to_json(transcript), status, details)


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
