"""A corpus of 614 items and 76 judged queries, made from written parts by a seeded generator.

Every item is made of facts: what happens in it (one of 12 deeds in one of 10 games, or one of 36 everyday subjects),
who shows it, and at times something else that is mentioned. Its words are drawn from phrases for those facts. A query
is written by hand with the facts that it means; an item's relevance follows from facts, never from words:

4 everything that the query means; 2 it only mentions the subject, or it is the subject's nearest relative with all
else right; 1 the subject without the game or the person that was asked for, or that person with something else; 0 else.

Half of the queries (``TUNED``) may be looked at while the search is changed, the other half is for reporting.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from clipfarm_assets.search.documents import Document

SEED = 20_260_301
NEWEST = datetime(2026, 3, 1, tzinfo=UTC)

GAMES = (
    "Valorant", "Minecraft", "Elden Ring", "Fortnite", "Rocket League", "League of Legends", "Counter-Strike 2",
    "Apex Legends", "Overwatch 2", "Dark Souls III",
)  # fmt: skip


class Subject(NamedTuple):
    """Phrases of titles and descriptions, tags, and the subject that is nearest to it ("" for none)."""

    titles: tuple[str, ...]
    descriptions: tuple[str, ...]
    tags: tuple[str, ...]
    near: str = ""


DEEDS: dict[str, Subject] = {
    "ace": Subject(
        (
            "insane ace on the last round",
            "five kills ace with one magazine",
            "my first ace ever",
            "clean ace from B site",
        ),
        ("Everyone on the other side goes down to one player.", "All five enemies eliminated before the timer."),
        ("ace", "highlights"),
        "clutch",
    ),
    "clutch": Subject(
        ("1v4 clutch nobody expected", "the calmest clutch", "clutch with 3 hp left", "ranked clutch saves the match"),
        ("Last one alive and still wins the round.", "Outnumbered, no utility, no problem."),
        ("clutch", "highlights"),
        "ace",
    ),
    "speedrun": Subject(
        (
            "any% speedrun personal best",
            "speedrun world record attempt",
            "new speedrun route explained",
            "speedrun in 14:32",
        ),
        ("Finishing the whole game as fast as possible.", "Shaving seconds off with a risky skip."),
        ("speedrun", "wr"),
        "glitch",
    ),
    "glitch": Subject(
        (
            "out of bounds glitch still works",
            "the floor is gone glitch",
            "duplication glitch after the patch",
            "physics glitch launches me",
        ),
        ("The developers did not intend this.", "A bug breaks everything in a funny way."),
        ("glitch", "bugs"),
        "speedrun",
    ),
    "rage": Subject(
        (
            "rage quit after 40 tries",
            "keyboard did not survive this rage",
            "biggest rage of the year",
            "pure rage moment",
        ),
        ("Screaming at the monitor after losing again.", "He is so angry that he leaves the lobby."),
        ("rage", "funny"),
        "fail",
    ),
    "fail": Subject(
        (
            "worst fail of the week",
            "epic fail in front of everyone",
            "how to fail the easiest jump",
            "fail compilation part 3",
        ),
        ("It could not have gone worse.", "An embarrassing mistake at the worst time."),
        ("fail", "funny"),
        "rage",
    ),
    "boss": Subject(
        (
            "beating the final boss without damage",
            "boss fight level one",
            "this boss took 200 attempts",
            "optional boss with bare hands",
        ),
        ("The hardest opponent falls at last.", "Dodging every attack until the health bar is empty."),
        ("boss", "no hit"),
    ),
    "build": Subject(
        (
            "building a medieval castle",
            "mega base build timelapse",
            "my tower build from scratch",
            "build battle winner",
        ),
        ("Blocks, walls and a lot of patience.", "Constructing something huge piece by piece."),
        ("build", "creative"),
    ),
    "comeback": Subject(
        (
            "comeback from 0-9",
            "the greatest comeback in overtime",
            "impossible comeback win",
            "never surrender comeback",
        ),
        ("They were far behind and turned it around.", "Everybody thought the match was lost."),
        ("comeback", "teamwork"),
    ),
    "tutorial": Subject(
        (
            "beginner tutorial: movement",
            "aim tutorial that works",
            "settings tutorial for more fps",
            "tutorial: rotations made simple",
        ),
        ("Step by step for people who just started.", "Tips that I wish I had known earlier."),
        ("tutorial", "guide"),
    ),
    "trickshot": Subject(
        (
            "spinning trickshot across the map",
            "no scope trickshot final kill",
            "trickshot off the skyscraper",
            "triple bounce trickshot",
        ),
        ("A ridiculous shot that should never land.", "Turning twice in the air before pulling the trigger."),
        ("trickshot", "sniper"),
    ),
    "skins": Subject(
        (
            "opening 100 cases for skins",
            "rarest skins in my inventory",
            "new skins ranked",
            "these skins cost more than a car",
        ),
        ("Looking at cosmetics and what they are worth.", "Spending far too much on how a weapon looks."),
        ("skins", "cosmetics"),
    ),
}

EVERYDAY: dict[str, Subject] = {
    "pasta": Subject(
        ("carbonara without cream", "fresh tagliatelle by hand", "one pot spaghetti"),
        ("Italian noodles in twenty minutes.",),
        ("pasta", "food"),
        "pizza",
    ),
    "pizza": Subject(
        ("neapolitan pizza at home", "sourdough pizza dough", "pizza in a cheap oven"),
        ("Crispy crust, tomato and mozzarella.",),
        ("pizza", "food"),
        "pasta",
    ),
    "bread": Subject(
        ("no knead bread", "rye loaf with caraway", "crusty bread overnight"),
        ("Flour, water, salt and time.",),
        ("bread", "baking"),
    ),
    "coffee": Subject(
        ("perfect espresso at home", "latte art for lazy people", "pour over explained"),
        ("How the beans are ground matters most.",),
        ("coffee", "barista"),
    ),
    "knife": Subject(
        ("sharpening a dull kitchen knife", "whetstone basics", "knife restoration"),
        ("An old blade cuts like new again.",),
        ("knife", "restoration"),
    ),
    "puppy": Subject(
        ("golden retriever puppy meets snow", "puppy first bath", "sleepy puppy compilation"),
        ("A very young dog discovers the world.",),
        ("puppy", "animals"),
        "cat",
    ),
    "cat": Subject(
        ("cat knocks over every glass", "kitten against cucumber", "my cat opens doors"),
        ("She owns this apartment.",),
        ("cat", "animals"),
        "puppy",
    ),
    "parrot": Subject(
        ("parrot sings metal", "grey parrot talks back", "parrot on a skateboard"),
        ("This bird has an opinion about everything.",),
        ("parrot", "animals"),
    ),
    "garden": Subject(
        ("raised beds for small gardens", "tomatoes on a balcony", "garden in march"),
        ("What to sow and when.",),
        ("garden", "plants"),
    ),
    "succulents": Subject(
        ("succulents that survive anything", "propagating succulents", "succulents in teacups"),
        ("Hardly any water needed.",),
        ("succulents", "plants"),
        "garden",
    ),
    "guitar": Subject(
        ("fingerstyle guitar arrangement", "three chord guitar songs", "guitar solo in one take"),
        ("Six strings and an old amplifier.",),
        ("guitar", "music"),
        "piano",
    ),
    "piano": Subject(
        ("chopin on a broken piano", "piano in the train station", "learning piano at 50"),
        ("Eighty-eight keys and a crowd that stops to listen.",),
        ("piano", "music"),
        "guitar",
    ),
    "drums": Subject(
        ("drum cover with one arm", "drums on buckets", "blast beats for beginners"),
        ("The neighbours were warned.",),
        ("drums", "music"),
    ),
    "choir": Subject(
        ("choir in an empty church", "flash mob choir", "school choir surprises teacher"),
        ("Forty voices, no instruments.",),
        ("choir", "music"),
    ),
    "yoga": Subject(
        ("morning yoga for stiff backs", "ten minute yoga", "yoga on a paddle board"),
        ("Stretch and breathe before work.",),
        ("yoga", "fitness"),
        "running",
    ),
    "running": Subject(
        ("first marathon diary", "interval running for beginners", "running in minus 20"),
        ("Forty-two kilometres of doubt.",),
        ("running", "fitness"),
        "yoga",
    ),
    "climbing": Subject(
        ("bouldering without falling", "climbing el capitan at night", "finger strength for climbing"),
        ("Hanging on by two fingertips.",),
        ("climbing", "fitness"),
    ),
    "skate": Subject(
        ("kickflip in 30 days", "skate park at dawn", "skateboard down a volcano"),
        ("Scraped knees included.",),
        ("skateboard", "street"),
        "bmx",
    ),
    "bmx": Subject(
        ("bmx backflip to dirt", "street bmx lines", "bmx restoration"),
        ("Twenty inch wheels, no brakes.",),
        ("bmx", "street"),
        "skate",
    ),
    "camping": Subject(
        ("winter camping alone", "tent pitched in a storm", "camping with a hammock"),
        ("A night in the woods with a small stove.",),
        ("camping", "outdoor"),
        "hiking",
    ),
    "hiking": Subject(
        ("hiking the coast in five days", "summit hiking before sunrise", "hiking with heavy packs"),
        ("Blisters, views and instant noodles.",),
        ("hiking", "outdoor"),
        "camping",
    ),
    "paris": Subject(
        ("paris on 30 euros", "paris after midnight", "paris without tourists"),
        ("The Eiffel Tower from an unusual place.",),
        ("paris", "travel"),
    ),
    "iceland": Subject(
        ("iceland ring road", "iceland in a van", "waterfalls of iceland"),
        ("Geysers, black beaches and northern lights.",),
        ("iceland", "travel"),
    ),
    "tokyo": Subject(
        ("tokyo on foot", "tokyo capsule hotel", "lost in tokyo station"),
        ("Neon, noodles and trains on time.",),
        ("tokyo", "travel"),
    ),
    "magic": Subject(
        ("card magic explained", "coin vanishes from a closed fist", "street magic gone wrong"),
        ("Watch the hands closely.",),
        ("magic", "tricks"),
    ),
    "chess": Subject(
        ("blitz chess against a grandmaster", "queen sacrifice in chess", "chess opening trap"),
        ("Mate in three moves.",),
        ("chess", "boardgames"),
    ),
    "cube": Subject(
        ("rubik cube in 6 seconds", "blindfolded cube", "teaching grandma the cube"),
        ("Forty-three quintillion positions.",),
        ("cube", "puzzle"),
    ),
    "woodwork": Subject(
        ("walnut table from a fallen tree", "dovetail joints by hand", "woodwork with no nails"),
        ("Sawdust everywhere.",),
        ("woodwork", "diy"),
    ),
    "pottery": Subject(
        ("throwing a bowl on the wheel", "pottery glaze surprise", "pottery fails in the kiln"),
        ("Wet clay between the fingers.",),
        ("pottery", "diy"),
    ),
    "drone": Subject(
        ("fpv drone through a factory", "drone above the fjord", "drone crash at 120 km/h"),
        ("Filmed from the air.",),
        ("drone", "aerial"),
    ),
    "telescope": Subject(
        ("saturn through a telescope", "telescope for under 200", "telescope and the moon"),
        ("Rings visible from the backyard.",),
        ("telescope", "astronomy"),
    ),
    "rocket": Subject(
        ("rocket launch from the beach", "model rocket to 3 km", "rocket landing in slow motion"),
        ("Ignition, liftoff, goosebumps.",),
        ("rocket", "space"),
        "telescope",
    ),
    "makeup": Subject(
        ("ten minute makeup", "vampire makeup for halloween", "makeup for glasses"),
        ("Eyeliner without tears.",),
        ("makeup", "beauty"),
    ),
    "haircut": Subject(
        ("fade haircut by my brother", "haircut transformation", "cutting my own fringe"),
        ("The barber takes off twenty centimetres.",),
        ("haircut", "beauty"),
    ),
    "budget": Subject(
        ("saving 10000 in a year", "budget with envelopes", "groceries budget for two"),
        ("Where all the money goes each month.",),
        ("budget", "finance"),
    ),
    "lego": Subject(
        ("lego city with trains", "lego sorting machine", "lego set from 1984"),
        ("Thousands of plastic bricks.",),
        ("lego", "toys"),
    ),
}

JAPANESE = {
    "ja-ramen": ("東京の激辛ラーメンに挑戦", "家で作る味噌ラーメン", "深夜のラーメン屋台", "ラーメンの食べ方講座"),
    "ja-cat": ("猫が箱から出てこない", "子猫とはじめてのお風呂", "寝ている猫の寝言", "猫カフェの一日"),
    "ja-sakura": ("桜の花見で最高の一枚", "夜桜ライトアップ散歩", "京都の桜が満開", "桜並木をドローンで撮影"),
    "ja-shogi": ("将棋の名勝負を解説", "初心者のための将棋講座", "将棋ウォーズ十秒対局"),
    "ja-train": ("新幹線の車窓から富士山", "始発の山手線一周", "ローカル線で秘境駅へ"),
}
ARABIC = {
    "ar-football": (
        "أجمل أهداف كرة القدم",
        "مباراة كرة القدم في الحي",
        "مهارات كرة القدم للمبتدئين",
        "ركلة حرة مذهلة في المباراة",
    ),
    "ar-cooking": ("طريقة عمل الكبسة", "أسرار المطبخ العربي", "طبخ الأرز بالزعفران", "وصفة سهلة للمطبخ"),
    "ar-desert": ("رحلة في الصحراء", "ليلة تخييم في الصحراء", "غروب الشمس فوق الكثبان"),
}
EMOJI = {
    "emoji-fire": ("🔥🔥🔥 watch till the end", "🔥 too hot to handle", "this set is 🔥"),
    "emoji-frog": ("🐸 on a leaf", "🐸🐸 duet in the pond", "a very small 🐸"),
    "emoji-pumpkin": ("🎃 carving night", "🎃 season again", "giant 🎃 on a boat"),
}

_FIRST = ("Nova", "Pixel", "Turbo", "Mellow", "Captain", "Doctor", "Lady", "Quiet", "Rusty", "Velvet")
_LAST = ("Kestrel", "Walnut", "Falcon", "Biscuit", "Harbor", "Meadow", "Cobalt")
PEOPLE = tuple(first + last for first in _FIRST for last in _LAST)


@dataclass(frozen=True)
class Item:
    """A document and the facts that it was made of."""

    document: Document
    subject: str
    mentions: str = ""


@dataclass(frozen=True)
class Query:
    """What is typed and what it means. ``kind`` tells what makes it hard."""

    text: str
    kind: str
    subject: str = ""
    game: str = ""
    person: str = ""
    tuned: bool = field(default=False)


def corpus() -> list[Item]:
    """The items; the same in every process."""
    draw = random.Random(SEED)
    items: list[Item] = []
    for game in GAMES:
        for deed, subject in DEEDS.items():
            for _ in range(3):
                items.append(_item(len(items), draw, deed, subject, DEEDS, game))
    for name, subject in EVERYDAY.items():
        for _ in range(6):
            items.append(_item(len(items), draw, name, subject, EVERYDAY))
    for language, titles in (("ja", JAPANESE), ("ar", ARABIC), ("en", EMOJI)):
        for name, written in titles.items():
            items += [_written(len(items) + i, draw, name, title, language) for i, title in enumerate(written)]
    return items


def queries() -> list[Query]:
    """The judged queries, every second one of each kind for tuning."""
    made = [Query(*fields) for fields in _QUERIES]
    seen: dict[str, int] = {}
    result = []
    for query in made:
        seen[query.kind] = seen.get(query.kind, 0) + 1
        result.append(Query(query.text, query.kind, query.subject, query.game, query.person, seen[query.kind] % 2 == 0))
    return result


def judgements(query: Query, items: list[Item]) -> dict[str, int]:
    """The relevance of every item that has any, by key."""
    judged = {item.document.key: _relevance(query, item) for item in items}
    return {key: value for key, value in judged.items() if value}


def _relevance(query: Query, item: Item) -> int:
    subjects = {**DEEDS, **EVERYDAY}
    rest = (not query.game or item.document.game == query.game) and (
        not query.person or item.document.broadcaster == query.person
    )
    if not query.subject:
        return 4 if rest else 0
    near = query.subject in subjects and item.subject == subjects[query.subject].near
    if item.subject == query.subject:
        return 4 if rest else 1
    if rest and item.mentions == query.subject:
        return 2
    if near and rest and (query.game or query.person):
        return 2
    return 1 if near or (query.person and rest) else 0


def _item(
    number: int, draw: random.Random, name: str, subject: Subject, others: dict[str, Subject], game: str = ""
) -> Item:
    mentioned = draw.choice([other for other in others if other != name]) if draw.random() < 0.15 else ""
    lines = [draw.choice(subject.descriptions)]
    if mentioned:
        lines.append(f"At the end: {draw.choice(others[mentioned].titles)}.")
    if draw.random() < 0.5:
        lines.append(
            draw.choice(("Subscribe for more.", "Live every evening.", "Recorded on stream.", "Full video soon."))
        )
    person = draw.choice(PEOPLE)
    document = Document(
        kind="clip" if number % 3 == 0 else "video",
        id=f"item-{number:04d}",
        title=draw.choice(subject.titles).capitalize(),
        description=" ".join(lines),
        tags=tuple(draw.sample(subject.tags, draw.randint(1, len(subject.tags)))),
        game_id=str(GAMES.index(game) + 1) if game else "",
        game=game,
        broadcaster_id=str(PEOPLE.index(person)),
        broadcaster=person,
        language="en",
        created_at=NEWEST - timedelta(hours=draw.randint(0, 20_000)),
        views=int(10 ** draw.uniform(1, 6)),
    )
    return Item(document, name, mentioned)


def _written(number: int, draw: random.Random, name: str, title: str, language: str) -> Item:
    person = draw.choice(PEOPLE)
    document = Document(
        kind="video", id=f"item-{number:04d}", title=title, broadcaster=person,
        broadcaster_id=str(PEOPLE.index(person)), language=language,
        created_at=NEWEST - timedelta(hours=draw.randint(0, 20_000)), views=int(10 ** draw.uniform(1, 6)),
    )  # fmt: skip
    return Item(document, name)


_QUERIES: list[tuple[str, ...]] = [
    ("valorant ace", "fields", "ace", "Valorant"),
    ("minecraft castle build", "fields", "build", "Minecraft"),
    ("elden ring boss", "fields", "boss", "Elden Ring"),
    ("rocket league comeback", "fields", "comeback", "Rocket League"),
    ("fortnite trickshot", "fields", "trickshot", "Fortnite"),
    ("counter-strike skins", "fields", "skins", "Counter-Strike 2"),
    ("apex tutorial", "fields", "tutorial", "Apex Legends"),
    ("overwatch clutch", "fields", "clutch", "Overwatch 2"),
    ("dark souls speedrun", "fields", "speedrun", "Dark Souls III"),
    ("league of legends rage", "fields", "rage", "League of Legends"),
    ("glitches in Minecraft", "fields", "glitch", "Minecraft"),
    ("elden ring speedruns", "fields", "speedrun", "Elden Ring"),
    ("valarant ace", "typo", "ace", "Valorant"),
    ("mincraft bulid", "typo", "build", "Minecraft"),
    ("fortnight trikshot", "typo", "trickshot", "Fortnite"),
    ("overwach glitch", "typo", "glitch", "Overwatch 2"),
    ("rokcet league fail", "typo", "fail", "Rocket League"),
    ("telescpe", "typo", "telescope"),
    ("succulants", "typo", "succulents"),
    ("guitarr", "typo", "guitar"),
    ("campping", "typo", "camping"),
    ("speedrn elden ring", "typo", "speedrun", "Elden Ring"),
    ("NovaKestrel", "name", "", "", "NovaKestrel"),
    ("pixelwalnut", "name", "", "", "PixelWalnut"),
    ("LadyHarbor", "name", "", "", "LadyHarbor"),
    ("CaptainBiscuit", "name", "", "", "CaptainBiscuit"),
    ("QuietCobalt", "name", "", "", "QuietCobalt"),
    ("velvetmeadow", "name", "", "", "VelvetMeadow"),
    ("DoctorFalcn", "name", "", "", "DoctorFalcon"),
    ("RustyKestrell", "name", "", "", "RustyKestrel"),
    ("eliminating the entire enemy squad single-handedly in valorant", "paraphrase", "ace", "Valorant"),
    ("player so furious that he throws his controller, elden ring", "paraphrase", "rage", "Elden Ring"),
    ("completing dark souls quickly for a record time", "paraphrase", "speedrun", "Dark Souls III"),
    ("software error makes character fall through the ground, fortnite", "paraphrase", "glitch", "Fortnite"),
    ("turning around a losing game of overwatch", "paraphrase", "comeback", "Overwatch 2"),
    ("expensive weapon appearance counter strike", "paraphrase", "skins", "Counter-Strike 2"),
    ("constructing a fortress out of cubes in minecraft", "paraphrase", "build", "Minecraft"),
    ("homemade italian noodle dish", "paraphrase", "pasta"),
    ("baking a loaf", "paraphrase", "bread"),
    ("young dog plays outside", "paraphrase", "puppy"),
    ("feline misbehaving at home", "paraphrase", "cat"),
    ("talking bird", "paraphrase", "parrot"),
    ("caffeine drink brewing", "paraphrase", "coffee"),
    ("growing vegetables in a tiny yard", "paraphrase", "garden"),
    ("desert plants in pots", "paraphrase", "succulents"),
    ("jogging long distance", "paraphrase", "running"),
    ("sleeping outdoors in the forest", "paraphrase", "camping"),
    ("french capital sightseeing", "paraphrase", "paris"),
    ("looking at planets in the night sky", "paraphrase", "telescope"),
    ("spacecraft liftoff", "paraphrase", "rocket"),
    ("cutting vegetables needs a razor edge", "paraphrase", "knife"),
    ("ceramics workshop", "paraphrase", "pottery"),
    ("spending less money", "paraphrase", "budget"),
    ("cosmetics for the face", "paraphrase", "makeup"),
    ("illusionist fools people", "paraphrase", "magic"),
    ("carpentry without screws", "paraphrase", "woodwork"),
    ("iceland waterfalls", "words", "iceland"),
    ("learning the piano", "words", "piano"),
    ("chess openings", "words", "chess"),
    ("restoring a bmx", "words", "bmx"),
    ("climb", "words", "climbing"),
    ("haircuts", "words", "haircut"),
    ("lego", "words", "lego"),
    ("yoga for my back", "words", "yoga"),
    ("ラーメン", "japanese", "ja-ramen"),
    ("猫", "japanese", "ja-cat"),
    ("桜", "japanese", "ja-sakura"),
    ("将棋", "japanese", "ja-shogi"),
    ("كرة القدم", "arabic", "ar-football"),
    ("المطبخ", "arabic", "ar-cooking"),
    ("صحراء", "arabic", "ar-desert"),
    ("مباراه", "arabic", "ar-football"),
    ("🔥", "emoji", "emoji-fire"),
    ("🐸", "emoji", "emoji-frog"),
    ("🎃", "emoji", "emoji-pumpkin"),
    ("🐸 pond", "emoji", "emoji-frog"),
]
