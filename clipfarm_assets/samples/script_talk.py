"""A talk of about five minutes on checklists, with few cuts and five topics."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from clipfarm_assets.samples.model import Line, Listing, Look, Sample, Shot, Voice


def _shot(kind: str, look: Look, lines: Sequence[str], hold_sec: float = 0.8) -> Shot:
    spoken = tuple(Line("Nora", line) for line in lines)
    return Shot(kind, {"speaker": "Nora"} | dict(look), spoken, hold_sec)


_SHOTS: Final = (
    _shot(
        "stage",
        {"words": "The humble checklist"},
        (
            "In nineteen thirty five, the best pilot in the army took off in the most advanced bomber ever built.",
            "A minute later it stalled, crashed, and burned. Nothing was broken. He had forgotten to release one lock.",
            "The newspapers wrote that it was simply too much aeroplane for one man to fly.",
            "The engineers did not ask for better pilots. They wrote a list that fits on an index card.",
            "With that card in the cockpit, the same machine flew almost two million miles without a serious accident.",
            "Tonight I want to show you why that card still beats talent, and how to write a good one.",
        ),
    ),
    _shot(
        "slide",
        {
            "title": "Why experts forget",
            "page": "1",
            "points": ("Memory fails under pressure", "Routine hides the step", "Nobody wants to look slow"),
        },
        (
            "Let us begin with why clever people forget simple things.",
            "Your working memory holds about four items. A busy operating room throws forty at you.",
            "When a task becomes routine, the brain stops watching it. "
            "You have all driven home without remembering the road.",
            "And then there is pride. Checking feels like admitting that you might be wrong.",
            "Surgeons told us that lists were for beginners. So we asked them a different question.",
            "If you were on the table, would you want your surgeon to use one? Ninety three percent said yes.",
        ),
    ),
    _shot(
        "chart",
        {
            "title": "Complications per thousand operations",
            "bars": ("Before:92", "Month 1:71", "Month 3:60", "Month 6:58"),
        },
        (
            "Here are the numbers from eight hospitals on four continents.",
            "Before the list, ninety two complications for every thousand operations. Six months later, fifty eight.",
            "Deaths fell by almost half. No new machine, no new drug, nineteen questions read aloud.",
            "The strongest effect came from the silliest line. Everybody in the room says their name.",
            "People who have spoken once will speak again when they see that something is wrong.",
            "Hospitals that skipped that line got almost nothing from the rest of the list.",
        ),
    ),
    _shot(
        "slide",
        {
            "title": "How to write one",
            "page": "2",
            "accent": "#e9c46a",
            "ink": "#f1faee",
            "top": "#264653",
            "bottom": "#16303a",
            "points": ("Five to nine items", "Killer items only", "A clear pause point", "Tested by its users"),
        },
        (
            "So how do you write a checklist that people will really use?",
            "Keep it between five and nine items. "
            "If it needs a second page, it is a manual, and nobody reads a manual.",
            "Write down only the killer items, the steps that are dangerous to skip and easy to forget.",
            "Choose the pause point. Before the engine starts, before the first cut, before you press deploy.",
            "Decide whether it is read and do, like a recipe, or do and confirm, like a pilot.",
            "Then give it to the people who do the work, watch them fail with it, and change it the same day.",
            "Our first version had twenty three lines. The nurses laughed at it. The seventh version had nine.",
        ),
    ),
    _shot(
        "stage",
        {"words": "A kitchen, a bank, a launch", "screen": "#ffb4a2"},
        (
            "It is not only about hospitals. A restaurant in Lyon wrote a list for closing the kitchen.",
            "Gas, fridge, back door, tomorrow's bread. Four lines, and food waste fell by a third.",
            "A software team in Nairobi put six questions in front of every release.",
            "Who is on call tonight? How do we roll back? Which customer do we phone first?",
            "They went from two bad launches every month to two in a year.",
            "And an investor I know checks seven things before he buys a company, "
            "above all on the days when he is in love with it.",
        ),
    ),
    _shot(
        "slide",
        {
            "title": "Where lists go wrong",
            "page": "3",
            "accent": "#ffffff",
            "ink": "#ffffff",
            "top": "#b5179e",
            "bottom": "#7209b7",
            "points": ("Ticked without looking", "Grown by every accident", "Owned by no one"),
        },
        (
            "Now a warning, because lists can rot.",
            "When ticking becomes the job, people tick without looking. Read it aloud, to another person, every time.",
            "After each accident somebody adds a line. Nobody ever removes one. Put a limit on the length and hold it.",
            "And a list without an owner dies. Write a name and a date at the bottom, and review it twice a year.",
            "A checklist is not there to replace judgement. It clears the small stuff away so that judgement has room.",
        ),
    ),
    _shot(
        "stage",
        {"words": "Write one tonight", "screen": "#bde0fe"},
        (
            "So here is what I ask of you. Tonight, pick the one task in your life that must not go wrong.",
            "Write five lines on a card. Use it tomorrow. Cross out what was useless and add what you missed.",
            "The pilot in my story was the best in the world, and one forgotten lock was enough.",
            "You do not need to be better than him. You just need a card. Thank you.",
        ),
        2.0,
    ),
)

TALK: Final = Sample(
    "talk-checklists",
    (640, 360),
    Fraction(24),
    _SHOTS,
    {"Nora": Voice("en-gb+f4", 122, 48)},
    Listing(
        "The humble checklist: why a card beats talent",
        "A talk on pilots, surgeons and kitchens, and how to write one.",
        "conference talk productivity",
        "Evening Lectures",
        "Nora Beck",
        "talk;checklists;safety;productivity",
        "2025-12-28T19:00:00Z",
        67_000,
        16,
        (2, 6, 14, 21, 35),
        video_type="talking_head",
        like_rate=0.05,
    ),
    redraw_every=3,
    audio_bit_rate=24_000,
)
