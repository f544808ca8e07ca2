"""Two podcasts, a talk, and the videos without narration or transcript."""

from fractions import Fraction
from typing import Final

from clipfarm_assets.samples.model import Line, Listing, Look, LookValue, Sample, Shot, Voice

_MAYA: Final[Look] = {
    "speaker": "Maya",
    "name": "Maya Lindqvist",
    "role": "host",
    "shirt": "#8a3b5e",
    "hair": "#6b2f1a",
    "skin": "#e2b08d",
    "top": "#26324a",
    "bottom": "#10151f",
    "lamp": "#f2c14e",
    "side": 0.42,
}
_TOBI: Final[Look] = {
    "speaker": "Tobi",
    "name": "Dr Tobi Adeyemi",
    "role": "behavioural scientist",
    "shirt": "#2a9d8f",
    "hair": "#0f0c0b",
    "skin": "#7a4a30",
    "top": "#d8e2dc",
    "bottom": "#a3b18a",
    "lamp": "#2a6f97",
    "side": 0.56,
    "plate": "#1d3a2f",
}
_LENA: Final[Look] = {
    "speaker": "Lena",
    "name": "Lena Ortiz",
    "role": "founder, two exits",
    "shirt": "#f4a261",
    "hair": "#3b2417",
    "skin": "#d9a37c",
    "top": "#7b2d26",
    "bottom": "#2d1115",
    "lamp": "#ffd6a5",
    "side": 0.6,
}
_RAJ: Final[Look] = {
    "speaker": "Raj",
    "name": "Raj Menon",
    "role": "host",
    "shirt": "#457b9d",
    "hair": "#111111",
    "skin": "#a9714b",
    "top": "#cfe1f2",
    "bottom": "#8fb1cc",
    "lamp": "#1d3557",
    "side": 0.38,
    "plate": "#102a43",
}


def _say(speaker: str, *texts: str) -> tuple[Line, ...]:
    return tuple(Line(speaker, text) for text in texts)


def _together(*people: Look) -> dict[str, LookValue]:
    """Both of them in one picture, dressed as in their own."""
    parts = {"speakers": "speaker", "shirts": "shirt", "skins": "skin", "hairs": "hair"}
    return {many: tuple(str(look[one]) for look in people) for many, one in parts.items()}


PODCAST_HABITS: Final = Sample(
    "podcast-habits",
    (360, 640),
    Fraction(30000, 1001),
    (
        Shot(
            "close_up",
            _MAYA,
            _say(
                "Maya",
                "Why do most new habits die in the second week?",
                "You buy the running shoes, you run three times, and then one rainy Tuesday ends it all.",
            ),
        ),
        Shot(
            "close_up",
            _TOBI,
            _say(
                "Tobi",
                "Because in week one you run on excitement, and excitement is a loan.",
                "In our study, sixty four percent of people quit between day nine and day fourteen.",
            ),
        ),
        Shot(
            "card",
            {"words": "Make it so small that skipping feels silly", "small": "Small Steps Show", "y": 0.3, "size": 40},
            _say("Maya", "So what does actually work?"),
            1.6,
        ),
        Shot(
            "close_up",
            _TOBI,
            _say(
                "Tobi",
                "Make the habit so small that skipping it feels silly. Two push ups, not fifty.",
                "And tie it to something that already happens every day, like boiling the kettle.",
            ),
        ),
        Shot(
            "two_shot",
            _together(_MAYA, _TOBI),
            _say("Maya", "I floss one tooth. That is my whole commitment.")
            + _say("Tobi", "And how often do you stop at one tooth?")
            + _say("Maya", "Never. Not once this year."),
        ),
        Shot(
            "close_up",
            dict(_MAYA) | {"top": "#3d1f4f", "bottom": "#130a1c", "side": 0.55},
            _say("Maya", "Start tiny, attach it to your morning, and never miss twice in a row."),
            1.0,
        ),
    ),
    {"Maya": Voice("en-us+f3", 172, 55), "Tobi": Voice("en-gb+m3", 160, 42)},
    Listing(
        "Why your habits die in week two",
        "A behavioural scientist on tiny habits, anchors, and never missing twice.",
        "habit podcast short",
        "Small Steps Show",
        "Maya Lindqvist",
        "habits;psychology;podcast;self improvement",
        "2026-01-05T08:00:00Z",
        184_000,
        6,
        (1, 3, 7, 14, 30),
    ),
)

PODCAST_PRICING: Final = Sample(
    "podcast-pricing",
    (640, 360),
    Fraction(25),
    (
        Shot("close_up", _RAJ, _say("Raj", "You doubled your price and lost how many customers?")),
        Shot(
            "close_up",
            _LENA,
            _say(
                "Lena",
                "Four. Out of three hundred and ten. Four.",
                "We were charging nine dollars a month because we were scared, not because of any research.",
            ),
        ),
        Shot(
            "chart",
            {"title": "Revenue per month, thousand dollars", "bars": ("March:22", "April:24", "May:47", "June:58")},
            _say("Raj", "So revenue went from twenty four thousand to forty seven thousand in one month."),
            1.5,
        ),
        Shot(
            "two_shot",
            _together(_RAJ, _LENA) | {"top": "#dfe7d8", "bottom": "#7f9c86"},
            _say("Lena", "And the support tickets went down. The cheapest customers were the loudest ones.")
            + _say("Raj", "How do you tell people without making them angry?"),
        ),
        Shot(
            "close_up",
            _LENA,
            _say(
                "Lena",
                "Give them sixty days of notice, keep their old plan for a year, and explain what the money pays for.",
                "Most founders raise prices too late. If nobody complains, you are too cheap.",
            ),
        ),
        Shot(
            "card",
            {
                "words": "If nobody complains, you are too cheap",
                "small": "The Margin, episode 88",
                "top": "#ffd166",
                "bottom": "#f4a261",
                "ink": "#3d1f00",
                "ring": "#b5523b",
            },
            (),
            3.0,
        ),
    ),
    {"Raj": Voice("en-gb+m7", 165, 46), "Lena": Voice("en-us+f2", 168, 60)},
    Listing(
        "We doubled our price and lost four customers",
        "Lena Ortiz on raising prices in a small software business.",
        "startup pricing podcast",
        "The Margin",
        "Raj Menon",
        "startup;pricing;business;podcast",
        "2026-01-09T15:30:00Z",
        41_500,
        11,
        (1, 5, 12, 30),
        start="late",
        like_rate=0.03,
    ),
    sidecar="srt",
)

BEAT: Final = Sample(
    "no-transcript-beat",
    (360, 640),
    Fraction(25),
    (
        Shot(
            "turntable", {"words": "side A"}, _say("Dex", "Put your hands up. This one is called Concrete Garden."), 4.0
        ),
        Shot("equaliser", {"words": "CONCRETE GARDEN"}, (), 6.0),
        Shot("turntable", {"words": "side B", "top": "#fee440", "bottom": "#00bbf9"}, (), 5.0),
        Shot(
            "equaliser", {"words": "LOUDER", "top": "#9d0208", "bottom": "#370617"}, _say("Dex", "One more time."), 4.0
        ),
    ),
    {"Dex": Voice("en-us+m2", 150, 35)},
    Listing(
        "Concrete Garden (home session)",
        "Sixty watts, one record player, a hundred and twenty beats a minute.",
        "beat session",
        "Dex at Home",
        "Dex Oyelaran",
        "music;beat;live;turntable",
        "2026-01-12T20:00:00Z",
        9_300,
        4,
        (1, 4, 15),
        video_type="talking_head",
        like_rate=0.09,
    ),
    sound="beat",
    sidecar=None,
)

SUNSET: Final = Sample(
    "silent-sunset",
    (360, 640),
    Fraction(24),
    (Shot("sunset", {}, (), 6.0), Shot("meadow", {}, (), 4.0), Shot("stars", {}, (), 4.0)),
    {},
    Listing(
        "Sunset, meadow, stars",
        "Three views from one weekend by the sea. No sound, on purpose.",
        "sunset timelapse",
        "Quiet Places",
        "Ines Falk",
        "nature;sunset;sea;silent",
        "2026-01-03T17:45:00Z",
        2_700,
        9,
        (2, 8, 25),
        video_type="talking_head",
        like_rate=0.11,
    ),
    sound="none",
    sidecar=None,
    redraw_every=2,
)
