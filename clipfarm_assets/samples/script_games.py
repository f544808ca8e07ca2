"""Moments of three invented games."""

from fractions import Fraction
from typing import Final

from clipfarm_assets.samples.model import Line, Listing, Sample, Shot, Voice

_KITE: Final = "Kite"


def _call(*texts: str) -> tuple[Line, ...]:
    return tuple(Line("caster", text) for text in texts)


GAME_ACE: Final = Sample(
    "game-ace",
    (640, 360),
    Fraction(30),
    (
        Shot(
            "arena",
            {"player": _KITE, "hits": ("2.2", "4.1"), "health": 100, "loss": 40},
            _call(
                "One against five, twelve seconds on the clock. Watch the left door.",
                "First one down! And the second, through the smoke!",
            ),
            0.6,
        ),
        Shot(
            "arena",
            {
                "player": _KITE,
                "hits": ("1.5", "3.4"),
                "kills": 2,
                "health": 58,
                "loss": 40,
                "sky": "#ffb703",
                "wall": "#fb8500",
                "floor": "#8d6346",
                "pillar": "#6f1d1b",
                "edge": "#ffe6a7",
                "enemy": "#023e8a",
            },
            _call("She is low on health, she swings wide, that is three. That is four!"),
            0.5,
        ),
        Shot(
            "arena",
            {
                "player": _KITE,
                "hits": ("3.0",),
                "kills": 4,
                "health": 18,
                "sky": "#0b3d2e",
                "wall": "#1b6b4c",
                "floor": "#0a1f17",
                "pillar": "#95d5b2",
                "edge": "#d8f3dc",
            },
            _call("Last enemy planting the charge. No way. Ace! Kite takes the round alone!"),
            0.8,
        ),
        Shot(
            "scoreboard",
            {"title": "ROUND WON", "rows": ("Kite:5 kills", "Bramble:0 kills", "Osso:0 kills", "Pim:0 kills")},
            _call("Five kills in nineteen seconds. Unbelievable."),
            1.2,
        ),
    ),
    {"caster": Voice("en-us+m1", 195, 60)},
    Listing(
        "1v5 ace to win the round",
        "Kite clutches against five on the last round of Ember Siege.",
        "ember siege ace",
        "Kite Plays",
        "clipper_oona",
        "ace;clutch;shooter;esports",
        "2026-01-14T21:10:00Z",
        512_000,
        2.5,
        (0.5, 1, 2, 5, 12),
        user_id="u-oona",
        video_type="gaming",
        game="Ember Siege",
        broadcaster="KitePlays",
        like_rate=0.07,
    ),
    sound="game",
)

GAME_SPEEDRUN: Final = Sample(
    "game-speedrun",
    (640, 360),
    Fraction(30),
    (
        Shot(
            "runner",
            {"player": "Halvard", "clock": 512, "coins": 71},
            _call(
                "We are four seconds ahead of the record, and the next jump decides everything.",
                "You have to leave the ground on the very last pixel.",
            ),
            0.5,
        ),
        Shot(
            "runner",
            {
                "player": "Halvard",
                "clock": 521,
                "coins": 80,
                "sky": "#240046",
                "haze": "#5a189a",
                "far": "#3c096c",
                "near": "#9d4edd",
                "soil": "#10002b",
                "speed": 230,
                "spike": "#ff9e00",
            },
            _call("Here is the cave skip. Duck, slide, and straight through the wall. Clean!"),
            0.5,
        ),
        Shot(
            "runner",
            {
                "player": "Halvard",
                "clock": 529,
                "coins": 88,
                "sky": "#ffddd2",
                "haze": "#e29578",
                "far": "#83c5be",
                "near": "#006d77",
                "soil": "#5e3023",
                "speed": 280,
            },
            _call("Final stretch, no mistakes now. He takes the upper route, and that is time!"),
            0.6,
        ),
        Shot(
            "scoreboard",
            {
                "title": "NEW WORLD RECORD",
                "top": "#ffd166",
                "bottom": "#ef476f",
                "ray": "#f8961e",
                "gold": "#3a0ca3",
                "rows": ("Halvard:8:57.31", "mossfoot:9:01.80", "jun_k:9:02.14"),
            },
            _call("Eight minutes fifty seven. A new world record by four and a half seconds!"),
            1.5,
        ),
    ),
    {"caster": Voice("en-gb+m5", 185, 52)},
    Listing(
        "Cave Sprinter world record: the wall skip",
        "Halvard saves four seconds with one jump.",
        "speedrun record",
        "Halvard Runs",
        "Halvard",
        "speedrun;world record;platformer",
        "2026-01-08T23:00:00Z",
        98_000,
        8,
        (1, 3, 9, 20),
        user_id="u-halvard",
        video_type="gaming",
        game="Cave Sprinter",
        broadcaster="HalvardRuns",
        start="late",
        like_rate=0.06,
    ),
    sound="game",
    sidecar="vtt",
)

GAME_FAIL: Final = Sample(
    "game-fail",
    (360, 640),
    Fraction(30),
    (
        Shot(
            "flight",
            {"player": "Pixel Pete", "parcels": 9},
            _call(
                "Nine parcels on board, perfect weather. What could go wrong?",
                "I have never crashed on this route. Never.",
            ),
            0.4,
        ),
        Shot(
            "flight",
            {
                "player": "Pixel Pete",
                "parcels": 9,
                "sky": "#48cae4",
                "haze": "#caf0f8",
                "far": "#606c38",
                "near": "#283618",
                "crash": 4.2,
                "drop": 1,
            },
            _call("Wait, why is the nose going down? No no no no no!"),
            1.8,
        ),
        Shot(
            "card",
            {
                "words": "He forgot to refuel",
                "small": "Sky Courier fails",
                "top": "#111111",
                "bottom": "#2b2b2b",
                "ring": "#ff5964",
                "size": 44,
            },
            _call("I forgot to refuel. Nine parcels, and I forgot to refuel."),
            0.8,
        ),
    ),
    {"caster": Voice("en-us+m4", 180, 58)},
    Listing(
        "Never crashed on this route, he said",
        "Nine parcels, no fuel. Sky Courier at its best.",
        "sky courier fail",
        "Pixel Pete",
        "clipper_oona",
        "fail;funny;flight",
        "2026-01-15T18:20:00Z",
        233_000,
        3,
        (0.5, 1.5, 4, 11),
        user_id="u-oona",
        video_type="gaming",
        game="Sky Courier",
        broadcaster="PixelPete",
        like_rate=0.08,
    ),
    sound="game",
    rotation=90,
)
