"""Clips over HTTP: ask for a batch, follow its job, look at its clips, change them, export them."""

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from clipfarm_assets.clips.book import (
    Edit,
    create_batch,
    edit_clip,
    get_batch,
    get_clip,
    list_batches,
    list_clips,
    set_final,
)
from clipfarm_assets.clips.jobs import create_export_job, get_job
from clipfarm_assets.clips.model import AspectRatio, BatchConfig, LengthPreset, Timeframe, VideoType
from clipfarm_assets.clips.titles import MAX_TITLE
from clipfarm_assets.clips.work import (
    count_batches,
    count_clips,
    export_of_job,
    get_export,
    list_exports,
    note_launch,
)
from clipfarm_assets.database.clip_tables import Clip, ClipBatch, ClipExport, Job
from clipfarm_assets.http.app import Backend, Here
from clipfarm_assets.http.items import not_deleted
from clipfarm_assets.http.media import stream
from clipfarm_assets.http.problems import Refused
from clipfarm_assets.metadata.rows import valid_video_id
from clipfarm_assets.search.documents import item_key
from clipfarm_assets.store.artifacts import Artifacts

_REQUESTED = "requested"
_LONGEST_SEC = 1e7
_EXAMPLE_ID = "5f1c1c0e-3c43-5c56-9d0b-8f5f0c8f9b11"
_T = TypeVar("_T")

clips = APIRouter(tags=["clips"], dependencies=[Depends(not_deleted)])


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


Text = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_without_nul)]
Seconds = Annotated[float, Field(ge=0, le=_LONGEST_SEC, allow_inf_nan=False)]
Limit = Annotated[int, Query(ge=1, le=500, description="Most items of a page.")]
Offset = Annotated[int, Query(ge=0, le=1_000_000, description="Items before the page.")]


class _Asked(BaseModel):
    """What a caller sends; fields that are not known are refused."""

    model_config = ConfigDict(extra="forbid")


class NewBatch(_Asked):
    """What is asked of a batch; everything has a default."""

    video_type: VideoType = Field(VideoType.TALKING_HEAD, examples=["podcast"])
    aspect_ratio: AspectRatio = Field(AspectRatio.VERTICAL, examples=["9:16"])
    clip_length_preset: LengthPreset = Field(
        LengthPreset.AUTO_0_60, description="Seconds that a clip may last.", examples=["30_60"]
    )
    subtitle_enabled: bool = Field(True, description="Whether exports have the subtitles drawn onto them.")
    processing_timeframe_start: Seconds | None = Field(
        None, description="Seconds; nothing before it becomes a clip.", examples=[0]
    )
    processing_timeframe_end: Annotated[float, Field(gt=0, le=_LONGEST_SEC, allow_inf_nan=False)] | None = Field(
        None, description="Seconds; nothing after it becomes a clip.", examples=[600]
    )
    include_specific_moments: Annotated[Text, Field(max_length=2000)] = Field(
        "", description="Moments to look for, in words; needs a language model.", examples=["the story of the crane"]
    )

    def config(self) -> BatchConfig:
        """Raises Refused where the timeframe is none."""
        start, end = self.processing_timeframe_start, self.processing_timeframe_end
        if start is not None and end is not None and start >= end:
            raise Refused(422, "The timeframe's end must lie after its start.", "processing_timeframe_end")
        return BatchConfig(
            video_type=self.video_type, aspect_ratio=self.aspect_ratio, clip_length_preset=self.clip_length_preset,
            subtitle_enabled=self.subtitle_enabled, processing_timeframe=Timeframe(start=start, end=end),
            include_specific_moments=self.include_specific_moments,
        )  # fmt: skip


class ClipChange(_Asked):
    """What a person changes of a clip; what is left out, or null, stays."""

    title: Annotated[Text, Field(min_length=1, max_length=MAX_TITLE)] | None = Field(None, examples=["Two push-ups"])
    description: Annotated[Text, Field(max_length=5000)] | None = None
    start_time_sec: Seconds | None = Field(None, examples=[12.5])
    end_time_sec: Seconds | None = Field(None, examples=[41.0])
    hashtags: list[Annotated[Text, Field(min_length=1, max_length=100)]] | None = Field(None, max_length=30)


class BatchOut(BaseModel):
    """A batch. ``error_message``: why it failed; where it is ready, what it has to do without."""

    id: str = Field(examples=[_EXAMPLE_ID])
    video_source_id: str = Field(examples=["talk-checklists"])
    name: str
    config_json: BatchConfig
    status: str = Field(examples=["draft"], description="draft, processing, ready, final or failed.")
    error_message: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: ClipBatch) -> "BatchOut":
        """Of a row."""
        config = BatchConfig.model_validate(row.config_json)
        return cls(**{**_fields(cls, row), "config_json": config})


class ExportOut(BaseModel):
    """A clip as a file."""

    id: str = Field(examples=[_EXAMPLE_ID])
    status: str = Field(examples=["ready"], description="queued, running, ready or failed.")
    aspect_ratio: str
    subtitles_burned: bool
    start_time_sec: float
    end_time_sec: float
    width: int | None
    height: int | None
    size_bytes: int | None
    sha256: str | None
    error_message: str | None
    video_url: str | None = Field(examples=[f"/media/exports/{_EXAMPLE_ID}/video"])
    subtitles_url: str | None

    @classmethod
    def of(cls, row: ClipExport) -> "ExportOut":
        """Of a row."""
        video_url = f"/media/exports/{row.id}/video" if row.video_path else None
        subtitles_url = f"/media/exports/{row.id}/subtitles" if row.subtitles_path else None
        return cls(**_fields(cls, row), video_url=video_url, subtitles_url=subtitles_url)


class JobOut(BaseModel):
    """Work that was asked for. ``error_message``: why it failed; where it is queued, what it waits for."""

    id: str = Field(examples=[_EXAMPLE_ID])
    kind: str = Field(examples=["score_batch"], description="score_batch or export_clip.")
    status: str = Field(examples=["queued"], description="queued, running, done or failed.")
    progress: float = Field(examples=[0.4], description="0 to 1.")
    clip_batch_id: str
    clip_id: str | None
    dagster_run_id: str | None = Field(description="As soon as there is one.")
    error_message: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    export: ExportOut | None = None

    @classmethod
    def of(cls, row: Job, export: ClipExport | None = None) -> "JobOut":
        """Of a row."""
        return cls(**_fields(cls, row), export=ExportOut.of(export) if export else None)


class NewBatchOut(BaseModel):
    """A batch that was asked for, and the job that makes it."""

    batch: BatchOut
    job: JobOut


class ClipOut(BaseModel):
    """A clip, without what its score rests on."""

    id: str = Field(examples=[_EXAMPLE_ID])
    clip_batch_id: str
    start_time_sec: float
    end_time_sec: float
    duration_sec: float
    title: str = Field(examples=["Why do most new habits die in the second week?"])
    description: str
    viral_score: float | None = Field(examples=[7.3], description="0 to 10; null where it could not be made.")
    grade_hook: str | None = Field(examples=["B-"])
    grade_flow: str | None
    grade_value: str | None
    grade_trend: str | None
    language: str | None
    status: str = Field(examples=["candidate"], description="candidate, edited or exported.")
    thumbnail_path: str | None
    thumbnail_url: str | None = Field(examples=[f"/media/clips/{_EXAMPLE_ID}/thumbnail"])
    hashtags: list[str]
    created_at: datetime

    @classmethod
    def of(cls, row: Clip) -> "ClipOut":
        """Of a row."""
        return cls(**_fields(cls, row), thumbnail_url=_thumbnail_url(row))


class ClipDetail(ClipOut):
    """A clip with everything that is known of it.

    Attributes:
        score_parts: both scores with their evidence, and why what is missing is.
    """

    video_source_id: str
    video_url: str = Field(examples=["/media/videos/talk-checklists"])
    transcript_preview: str
    score_parts: dict[str, object]
    exports: list[ExportOut]


class Page(BaseModel, Generic[_T]):
    """A part of a list. ``next``: where the following part is; null on the last."""

    items: list[_T]
    total: int = Field(examples=[1])
    limit: int
    offset: int
    next: str | None


class ExportJobOut(BaseModel):
    """An export that was asked for."""

    job: JobOut


@clips.post("/viral-clip/videos/{video_id}/clip-batches", status_code=201)
def new_batch(video_id: str, body: NewBatch, here: Here) -> NewBatchOut:
    """Asks for clips of a video. Answers at once; `GET /jobs/{id}` says how far they are.

    Where Dagster cannot be reached the batch stays a draft, `job.error_message` says so, and it is made later.
    """
    _existing_video(here, video_id)
    batch, job = create_batch(here.database, video_id, body.config(), _now(), name=_REQUESTED)
    return NewBatchOut(batch=BatchOut.of(batch), job=JobOut.of(_launched(here, job)))


@clips.get("/viral-clip/videos/{video_id}/clip-batches")
def batches_of_video(
    video_id: str, request: Request, here: Here, limit: Limit = 50, offset: Offset = 0
) -> Page[BatchOut]:
    """The batches of a video, the newest first."""
    _existing_video(here, video_id)
    found = [BatchOut.of(row) for row in list_batches(here.database, video_id, limit, offset)]
    return _page(found, count_batches(here.database, video_id), limit, offset, request)


@clips.get("/viral-clip/clip-batches/{batch_id}/clips")
def clips_of_batch(
    batch_id: UUID, request: Request, here: Here, limit: Limit = 100, offset: Offset = 0
) -> Page[ClipOut]:
    """The clips of a batch, the best first, those without a score last."""
    found = [ClipOut.of(row) for row in list_clips(here.database, str(batch_id), limit, offset)]
    return _page(found, count_clips(here.database, str(batch_id)), limit, offset, request)


@clips.post("/viral-clip/clip-batches/{batch_id}/final")
def finalize_batch(batch_id: UUID, here: Here) -> BatchOut:
    """Says that a batch is as it should be: nothing in it changes any more. 409 where it is not ready."""
    return BatchOut.of(set_final(here.database, str(batch_id), _now()))


@clips.get("/viral-clip/clips/{clip_id}")
def clip_detail(clip_id: UUID, here: Here) -> ClipDetail:
    """Everything about a clip: its score's parts with their evidence, the transcript's beginning, its exports."""
    return _detail(here, get_clip(here.database, str(clip_id)))


@clips.patch("/viral-clip/clips/{clip_id}")
def change_clip(clip_id: UUID, body: ClipChange, here: Here) -> ClipDetail:
    """Changes a clip. A new title or time makes it `edited`, which a new score leaves alone; 409 where it is final."""
    clip = get_clip(here.database, str(clip_id))
    duration_sec = _duration_sec(here, get_batch(here.database, clip.clip_batch_id).video_source_id)
    start = clip.start_time_sec if body.start_time_sec is None else body.start_time_sec
    end = clip.end_time_sec if body.end_time_sec is None else body.end_time_sec
    if start >= end:
        field = "start_time_sec" if body.end_time_sec is None else "end_time_sec"
        raise Refused(422, f"A clip from {start:g} s to {end:g} s has no length.", field)
    if duration_sec is not None and end > duration_sec:
        raise Refused(422, f"The video ends at {duration_sec:g} s.", "end_time_sec")
    edit = Edit(
        body.title, body.description, body.start_time_sec, body.end_time_sec,
        None if body.hashtags is None else tuple(body.hashtags),
    )  # fmt: skip
    changed = edit_clip(here.database, clip.id, edit, _now(), duration_sec)
    if changed.thumbnail_path is None:
        here.launch("score_batch")  # that run also makes thumbnails; without it the sensor asks for one
    if here.discovery is not None:
        here.discovery.refresh([item_key("clip", clip.id)])
    return _detail(here, changed)


@clips.post("/viral-clip/clips/{clip_id}/exports", status_code=201)
def new_export(clip_id: UUID, here: Here) -> ExportJobOut:
    """Asks for a clip as MP4 and SRT. Answers at once; `GET /jobs/{id}` says how far it is and where the file lies."""
    job = create_export_job(here.database, str(clip_id), _now())
    return ExportJobOut(job=JobOut.of(_launched(here, job)))


@clips.get("/jobs/{job_id}", tags=["jobs"])
def job(job_id: UUID, here: Here) -> JobOut:
    """How far a job is."""
    found = get_job(here.database, str(job_id))
    return JobOut.of(found, export_of_job(here.database, found))


@clips.head("/media/clips/{clip_id}/thumbnail", include_in_schema=False)
@clips.get("/media/clips/{clip_id}/thumbnail", response_class=Response, tags=["media"])
def thumbnail_file(clip_id: UUID, request: Request, here: Here) -> Response:
    """The middle frame of a clip as JPEG; 404 until it is made."""
    key = get_clip(here.database, str(clip_id)).thumbnail_path
    return stream(request, here.store, _there(key), "image/jpeg")


@clips.head("/media/exports/{export_id}/video", include_in_schema=False)
@clips.get("/media/exports/{export_id}/video", response_class=Response, tags=["media"])
def export_file(export_id: UUID, request: Request, here: Here) -> Response:
    """An export as MP4, whole or by range."""
    key = get_export(here.database, str(export_id)).video_path
    return stream(request, here.store, _there(key), "video/mp4")


@clips.head("/media/exports/{export_id}/subtitles", include_in_schema=False)
@clips.get("/media/exports/{export_id}/subtitles", response_class=Response, tags=["media"])
def subtitles_file(export_id: UUID, request: Request, here: Here) -> Response:
    """The subtitles of an export as SRT."""
    key = get_export(here.database, str(export_id)).subtitles_path
    return stream(request, here.store, _there(key), "application/x-subrip")


def _now() -> datetime:
    return datetime.now(UTC)


def _launched(here: Backend, job: Job) -> Job:
    return note_launch(here.database, job.id, here.launch(job.kind), _now())


def _existing_video(here: Backend, video_id: str) -> None:
    if valid_video_id(video_id) is not None or here.video(video_id) is None:
        raise Refused(404, f"There is no video {video_id[:200]!r}.")


def _there(key: str | None) -> str:
    if key is None:
        raise Refused(404, "There is no such file yet.")
    return key


def _duration_sec(here: Backend, video_id: str) -> float | None:
    identity = Artifacts(here.store).identity(f"clipfarm/raw/video/{video_id}.mp4")
    known = identity.details.get("duration_sec") if identity else None
    return float(known) if isinstance(known, int | float) else None


def _thumbnail_url(row: Clip) -> str | None:
    return f"/media/clips/{row.id}/thumbnail" if row.thumbnail_path else None


def _detail(here: Backend, row: Clip) -> ClipDetail:
    batch = get_batch(here.database, row.clip_batch_id)
    return ClipDetail(
        **_fields(ClipDetail, row),
        thumbnail_url=_thumbnail_url(row),
        video_source_id=batch.video_source_id,
        video_url=f"/media/videos/{batch.video_source_id}",
        exports=[ExportOut.of(each) for each in list_exports(here.database, row.id)],
    )


def _fields(model: type[BaseModel], row: object) -> dict[str, Any]:
    """What the row has of the model's fields."""
    return {name: getattr(row, name) for name in model.model_fields if hasattr(row, name)}


def _page(items: list[_T], total: int, limit: int, offset: int, request: Request) -> Page[_T]:
    following = offset + limit
    url = request.url.include_query_params(limit=limit, offset=following)
    return Page(
        items=items, total=total, limit=limit, offset=offset,
        next=f"{url.path}?{url.query}" if following < total else None,
    )  # fmt: skip
