"""Every sample, in the order of the truth file."""

from typing import Final

from clipfarm_assets.samples import script_app, script_games, script_shows, script_talk
from clipfarm_assets.samples.model import Sample

SAMPLES: Final[tuple[Sample, ...]] = (
    script_shows.PODCAST_HABITS,
    script_shows.PODCAST_PRICING,
    script_talk.TALK,
    script_games.GAME_ACE,
    script_games.GAME_SPEEDRUN,
    script_games.GAME_FAIL,
    script_app.EXPORT_ERROR,
    script_app.EXPORT_ERROR_2,
    script_app.LOGIN_CONFUSION,
    script_app.UPLOAD_OK,
    script_shows.SUNSET,
    script_shows.BEAT,
    script_app.BROKEN,
)
