"""The FastAPI app: who may call it, how errors look, what it says of its own health; the doors are routers."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field
from sqlalchemy import text

from clipfarm_assets import __version__
from clipfarm_assets.clips.work import Launched
from clipfarm_assets.database.connect import Database
from clipfarm_assets.discovery.room import Discovery
from clipfarm_assets.errors import ClipfarmError
from clipfarm_assets.http.media import stream
from clipfarm_assets.http.problems import PROBLEMS, Refused, answer_with_problems
from clipfarm_assets.measures import Measures
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import ObjectStore

_TITLE = "clipfarm"
_HELP = "Search, clips and their exports, out of a clipfarm deployment. Errors are RFC 9457 problem details."


@dataclass(frozen=True)
class Backend:
    """What the app works on.

    Attributes:
        settings: of the deployment.
        store: where media and exports lie.
        database: where batches, clips and jobs live.
        video: a video's latest metadata row; None where there is none, or it is marked as removed.
        launch: asks for a run that does jobs of this kind.
        discovery: the search; None for a server without one.
        measures: what the graph's own metadata is told of queries.
    """

    settings: Settings
    store: ObjectStore
    database: Database
    video: Callable[[str], Video | None]
    launch: Callable[[str], Launched] = lambda kind: Launched(None, "The sensor takes it up.")
    discovery: Discovery | None = None
    measures: Measures = field(default_factory=Measures)


class Health(BaseModel):
    """What works and what does not."""

    status: str = Field(examples=["ok"])
    database: str = Field(examples=["ok"])
    store: str = Field(examples=["ok"])


def create_app(backend: Backend, *routers: APIRouter) -> FastAPI:
    """The app over one deployment; ``routers`` need the token where one is configured."""
    app = FastAPI(title=_TITLE, description=_HELP, version=__version__)
    app.state.backend = backend
    answer_with_problems(app)
    if backend.settings.http_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=backend.settings.http_origins, allow_methods=["*"], allow_headers=["*"]
        )
    app.include_router(_health)
    for router in (_media, *routers):
        app.include_router(router, dependencies=[Depends(_needs_token)], responses=PROBLEMS)
    return app


def backend_of(request: Request) -> Backend:
    """The backend behind a request, as a dependency."""
    found: Backend = request.app.state.backend
    return found


Here = Annotated[Backend, Depends(backend_of)]

_bearer = HTTPBearer(auto_error=False, description="CLIPFARM_HTTP_TOKEN, where one is set.")
_health = APIRouter(tags=["health"])
_media = APIRouter(tags=["media"])


def _needs_token(here: Here, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
    wanted = here.settings.http_token
    if wanted is None:
        return
    token = given.credentials if given is not None else ""
    if not secrets.compare_digest(token.encode(), wanted.get_secret_value().encode()):
        raise Refused(401, "Send Authorization: Bearer and the token.", headers={"WWW-Authenticate": "Bearer"})


@_health.get("/healthz")
def is_alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@_health.get("/readyz", responses={503: {"model": Health}})
def is_ready(here: Here, response: Response) -> Health:
    """Database and store answer too; 503 where one does not."""
    found = Health(status="ok", database=_said(lambda: _ask(here.database)), store=_said(lambda: here.store.head("x")))
    if (found.database, found.store) != ("ok", "ok"):
        response.status_code, found.status = 503, "unavailable"
    return found


@_media.head("/media/videos/{video_id}", include_in_schema=False)
@_media.get("/media/videos/{video_id}", response_class=Response)
def video_file(video_id: str, request: Request, here: Here) -> Response:
    """The video as MP4, whole or by range."""
    if here.video(video_id) is None:
        raise Refused(404, f"There is no video {video_id!r}.")
    return stream(request, here.store, f"clipfarm/raw/video/{video_id}.mp4", "video/mp4")


def _ask(database: Database) -> None:
    with database.read() as session:
        session.execute(text("SELECT 1"))


def _said(call: Callable[[], object]) -> str:
    """``ok``, or what the error says; a missing answer is the answer here."""
    try:
        call()
    except ClipfarmError as error:
        return str(error)
    return "ok"
