"""`clipfarm serve`: the HTTP API."""

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from clipfarm_assets.cli import home

if TYPE_CHECKING:
    from clipfarm_assets.discovery.room import Discovery


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; another than this machine's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.")] = 8000,
) -> None:
    """Serves the HTTP API; its documentation, with examples to try, is at /docs.

    Batches that are asked for here are made by Dagster: keep `clipfarm dev`, or a daemon, running beside it.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: on a query's few words its threads only wait
    import uvicorn

    from clipfarm_assets.errors import ConfigurationError
    from clipfarm_assets.graph.launch import Launcher
    from clipfarm_assets.graph.platform import Workshop
    from clipfarm_assets.http.app import Backend, create_app
    from clipfarm_assets.http.clips import clips
    from clipfarm_assets.http.metrics import measure, metrics
    from clipfarm_assets.http.people import people
    from clipfarm_assets.http.search import discovery
    from clipfarm_assets.metadata.rows import Video
    from clipfarm_assets.settings import load_settings

    home.enter()
    settings = load_settings()
    if host not in _OWN and settings.http_token is None:
        raise ConfigurationError(
            f"Whoever reaches {host} could change clips.", hint="Set CLIPFARM_HTTP_TOKEN, or serve this machine only."
        )
    workshop = Workshop(settings, keep_measures=True)

    def video(video_id: str) -> Video | None:
        found = workshop.videos([video_id]).get(video_id) if workshop.videos_etag() else None
        return None if found is None or found.removed else found

    room, launch = workshop.discovery, Launcher(settings.dagster_url, settings.dagster_header).launch
    backend = Backend(settings, workshop.store, workshop.database, video, launch, room, workshop.measures)
    app = create_app(backend, clips, discovery, people, metrics)
    measure(app)
    threading.Thread(target=_warm, args=[room], daemon=True, name="warm").start()
    uvicorn.run(app, host=host, port=port, log_level="info")


def _warm(room: "Discovery") -> None:
    """Loads what the first query would wait for; what is wrong with it the first query says."""
    from clipfarm_assets.errors import ClipfarmError

    with suppress(ClipfarmError):
        room.embedder()


_OWN = frozenset({"127.0.0.1", "::1", "localhost"})
