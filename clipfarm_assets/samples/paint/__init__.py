"""Pictures of the samples: a painter draws one moment of one kind of shot."""

from collections.abc import Mapping
from typing import Final

from clipfarm_assets.samples.paint import app, games, people, places
from clipfarm_assets.samples.paint.moment import Painter

PAINTERS: Final[Mapping[str, Painter]] = {
    "app": app.app,
    "arena": games.arena,
    "card": people.card,
    "chart": people.chart,
    "close_up": people.close_up,
    "equaliser": places.equaliser,
    "flight": games.flight,
    "meadow": places.meadow,
    "runner": games.runner,
    "scoreboard": games.scoreboard,
    "slide": people.slide,
    "stage": people.stage,
    "stars": places.stars,
    "sunset": places.sunset,
    "turntable": places.turntable,
    "two_shot": people.two_shot,
}
