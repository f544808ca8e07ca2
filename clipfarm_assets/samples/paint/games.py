"""Scenes of three invented games: a shooter, a platform runner, and a delivery flight."""

import math
import random

from clipfarm_assets.samples.model import Look
from clipfarm_assets.samples.paint.canvas import Canvas, ease
from clipfarm_assets.samples.paint.moment import Moment, items, number, text


def explosion(canvas: Canvas, x: float, y: float, age: float, size: float) -> None:
    """A burst ``age`` seconds after it began; nothing before, nothing after 0.8 s."""
    if not 0 <= age < 0.8:
        return
    spread = ease(age / 0.5)
    for spark in range(14):
        angle = spark * 0.449 + 0.3
        reach = size * spread * (0.7 + 0.5 * (spark % 3))
        x_spark, y_spark = x + math.cos(angle) * reach, y + math.sin(angle) * reach
        canvas.ellipse(x_spark, y_spark, size * 0.12 * (1 - age), fill=("#ffd166", "#f3722c", "#fff3c4")[spark % 3])
    canvas.ellipse(x, y, size * 0.6 * spread * (1 - age), fill="#fff3c4")
    canvas.ellipse(x, y, size * spread, outline="#f3722c", line=3 * (1 - age) + 1)


def hud(canvas: Canvas, look: Look, moment: Moment, score: str) -> None:
    """Health, what counts in this game, and the player's name."""
    width, height = canvas.width, canvas.height
    canvas.rect(12, height - 32, 130, 18, "#10131a", 4)
    health = max(number(look, "health", 80) - number(look, "loss", 0) * moment.progress, 0)
    canvas.rect(14, height - 30, 126 * health / 100, 14, "#4cd17b" if health > 35 else "#e5484d", 3)
    canvas.text(18, height - 31, f"{health:.0f}", 12, "#06210f", bold=True)
    canvas.rect(width - 132, 10, 120, 26, "#10131a", 6)
    canvas.text(width - 72, 23, score, 16, "#ffe08a", "mm", bold=True)
    canvas.text(12, 12, text(look, "player"), 14, "#ffffff", bold=True)


def arena(canvas: Canvas, look: Look, moment: Moment) -> None:
    """First person: enemies come down a corridor and fall at ``hits`` seconds."""
    canvas.gradient(text(look, "sky", "#33415c"), text(look, "wall", "#7d8597"), 0, canvas.height * 0.5)
    canvas.gradient(text(look, "floor", "#5c4d3c"), "#1f1a15", canvas.height * 0.5)
    width, height, t = canvas.width, canvas.height, moment.t
    sway = math.sin(t * 1.9) * 22
    middle, horizon = width / 2 + sway, height * 0.5 + math.sin(t * 3.1) * 4
    for pillar in range(6):
        near = ((pillar / 6 + t * 0.12) % 1.0) ** 2
        for side in (-1, 1):
            x = middle + side * (60 + near * width * 0.75)
            tall = 50 + near * height * 0.95
            canvas.rect(x - tall * 0.1, horizon - tall * 0.62, tall * 0.2, tall, text(look, "pillar", "#463f3a"), 3)
            canvas.rect(x - tall * 0.1, horizon - tall * 0.62, tall * 0.05, tall, text(look, "edge", "#8a817c"), 2)
    hits = [float(hit) for hit in items(look, "hits")]
    kills = sum(hit <= t for hit in hits)
    aim = (middle, horizon)
    for index, hit in enumerate(hits):
        born = hits[index - 1] + 0.2 if index else 0.0
        x = middle + math.sin(index * 2.3 + 1) * width * 0.26 + math.sin(t * 2 + index) * 14
        grown = 16 + 26 * ease((t - born) / max(hit - born, 0.1))
        if born <= t < hit:
            _enemy(canvas, x, horizon + grown * 0.4, grown, text(look, "enemy", "#c1121f"), t)
            pull = ease((t - born) / max((hit - born) * 0.9, 0.1))
            aim = (middle + (x - middle) * pull, horizon + (grown * 0.1) * pull)
        explosion(canvas, x, horizon, t - hit, 34)
    shooting = any(0 <= t - hit + 0.15 < 0.25 for hit in hits)
    _weapon(canvas, aim, shooting, t)
    for index in range(kills):
        canvas.rect(width - 190, 46 + index * 20, 178, 17, "#10131a", 3)
        victim = ("Moth", "Gravel", "Okapi", "Tinder", "Vesper")[(index + int(number(look, "kills", 0))) % 5]
        canvas.text(width - 184, 47 + index * 20, f"{text(look, 'player')} > {victim}", 12, "#ffd6d6")
    hud(canvas, look, moment, f"KILLS {int(number(look, 'kills', 0)) + kills}")


def _enemy(canvas: Canvas, x: float, y: float, size: float, colour: str, t: float) -> None:
    step = math.sin(t * 9) * size * 0.2
    canvas.rect(x - size * 0.32 + step * 0.4, y + size * 0.5, size * 0.24, size * 0.9, "#1b1b1e", 2)
    canvas.rect(x + size * 0.08 - step * 0.4, y + size * 0.5, size * 0.24, size * 0.9, "#1b1b1e", 2)
    canvas.rect(x - size * 0.5, y - size * 0.5, size, size * 1.1, colour, size * 0.2)
    canvas.ellipse(x, y - size * 0.8, size * 0.36, fill="#2b2d42")
    canvas.rect(x - size * 0.25, y - size * 0.9, size * 0.5, size * 0.16, "#ffe066", 2)


def _weapon(canvas: Canvas, aim: tuple[float, float], shooting: bool, t: float) -> None:
    x, y = aim
    width, height = canvas.width, canvas.height
    kick = 10 if shooting else 2 * math.sin(t * 4)
    tip = (width * 0.62 + (x - width / 2) * 0.3, height * 0.72 + kick)
    canvas.polygon(
        [(width * 0.7, height), (tip[0] - 12, tip[1]), (tip[0] + 14, tip[1] - 4), (width * 0.9, height)], "#22262e"
    )
    if shooting:
        canvas.ellipse(*tip, 22, 16, fill="#fff0a5")
        canvas.path([tip, aim], "#fff7d1", 2)
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        canvas.path([(x + dx * 5, y + dy * 5), (x + dx * 14, y + dy * 14)], "#7cffcb", 2)


def runner(canvas: Canvas, look: Look, moment: Moment) -> None:
    """A platform game from the side: hills scroll, coins turn, the player jumps over what comes."""
    canvas.gradient(text(look, "sky", "#87ceeb"), text(look, "haze", "#fbe8c6"))
    width, height, t = canvas.width, canvas.height, moment.t
    speed = number(look, "speed", 170)
    for layer, (share, colour) in enumerate(
        ((0.2, text(look, "far", "#7fb685")), (0.5, text(look, "near", "#3f7d58")))
    ):
        for hill in range(7):
            x = (hill * 150 + layer * 60 - t * speed * share) % (7 * 150) - 150
            canvas.ellipse(x, height * 0.86, 110, 90 - layer * 30 + hill % 3 * 18, fill=colour)
    ground = height * 0.8
    canvas.rect(0, ground, width, height, text(look, "soil", "#6b4226"))
    for tuft in range(int(width / 32) + 2):
        x = (tuft * 32 - t * speed) % (width + 64) - 32
        canvas.rect(x, ground, 18, 7, text(look, "near", "#3f7d58"), 3)
    gap, player_x = 230.0, width * 0.3
    lift = 0.0
    for index in range(12):
        x = index * gap + gap * 1.4 - t * speed
        away = (x - player_x) / speed
        if abs(away) < 0.42:
            lift = max(lift, 92 * math.cos(away / 0.42 * math.pi / 2))
        if -40 < x < width + 40:
            canvas.polygon([(x - 16, ground), (x, ground - 38), (x + 16, ground)], text(look, "spike", "#9d0208"))
            turn = abs(math.cos(t * 5 + index))
            if x > player_x:
                canvas.ellipse(x, ground - 120, 10 * turn + 1, 10, fill="#ffd60a", outline="#b8860b")
    _hero(canvas, player_x, ground - lift, t, text(look, "hero", "#e63946"), lift > 4)
    coins = sum(index * gap + gap * 1.4 - t * speed <= player_x for index in range(12))
    clock = number(look, "clock", 0) + t
    hud(canvas, look, moment, f"{int(clock // 60)}:{clock % 60:05.2f}")
    canvas.text(width / 2, 22, f"coins {int(number(look, 'coins', 0)) + coins}", 15, "#3a2a00", "mm", bold=True)


def _hero(canvas: Canvas, x: float, feet: float, t: float, colour: str, flying: bool) -> None:
    step = 0.0 if flying else math.sin(t * 16) * 9
    canvas.path([(x, feet - 16), (x - 5 + step, feet)], "#1d3557", 6)
    canvas.path([(x, feet - 16), (x + 5 - step, feet)], "#1d3557", 6)
    canvas.rect(x - 10, feet - 38, 20, 24, colour, 6)
    canvas.polygon([(x - 8, feet - 36), (x - 34, feet - 30 + step * 0.6), (x - 9, feet - 24)], "#ffb703")
    canvas.ellipse(x + 1, feet - 46, 11, fill="#f4c095")
    canvas.rect(x - 11, feet - 57, 22, 9, colour, 4)


def flight(canvas: Canvas, look: Look, moment: Moment) -> None:
    """A courier's flying machine over rocks; it bursts at ``crash`` seconds, if given."""
    canvas.gradient(text(look, "sky", "#2a1e5c"), text(look, "haze", "#f08a5d"))
    width, height, t = canvas.width, canvas.height, moment.t
    rng = random.Random(5)
    for _ in range(26):
        x = (rng.random() * width * 2 - t * 20) % (width + 20) - 10
        canvas.ellipse(x, rng.random() * height * 0.5, 1.2, fill="#fdf0d5")
    crash = number(look, "crash", 99)
    run = min(t, crash)
    for layer in range(2):
        points = [(-5.0, float(height))]
        for step in range(int(width / 20) + 2):
            world = step * 20 + run * (60 + layer * 90)
            ridge = math.sin(world / 61 + layer) * 26 + math.sin(world / 23) * 13
            points.append((step * 20 - 5.0, height * (0.72 + layer * 0.12) - ridge))
        canvas.polygon([*points, (width + 25.0, float(height))], text(look, ("far", "near")[layer], "#3d2352"))
    for ring in range(8):
        x = ring * 260 + 300 - run * 150
        if -30 < x < width + 30:
            canvas.ellipse(x, height * 0.42 + math.sin(ring * 2.2) * 60, 10, 26, outline="#ffe66d", line=4)
    wobble = math.sin(run * 2.2) * 55 + number(look, "drop", 0) * ease(run / max(crash, 1)) * height * 0.3
    x, y = width * 0.35, height * 0.42 + wobble
    if t < crash:
        _craft(canvas, x, y, t)
    explosion(canvas, x, y, t - crash, 70)
    if t > crash + 0.5:
        canvas.rect(0, height * 0.42, width, 66, "#000000")
        canvas.text(width / 2, height * 0.42 + 33, "PARCEL LOST", 34, "#ff5964", "mm", bold=True)
    hud(canvas, look, moment, f"PARCELS {int(number(look, 'parcels', 3))}")


def _craft(canvas: Canvas, x: float, y: float, t: float) -> None:
    flame = 16 + 8 * math.sin(t * 31)
    canvas.polygon([(x - 26, y - 5), (x - 26 - flame, y), (x - 26, y + 5)], "#ffd166")
    canvas.polygon([(x - 28, y - 9), (x + 20, y - 7), (x + 34, y), (x + 20, y + 8), (x - 28, y + 9)], "#e0fbfc")
    canvas.polygon([(x - 8, y), (x - 24, y - 26), (x + 6, y - 4)], "#ee6c4d")
    canvas.ellipse(x + 12, y - 3, 8, 5, fill="#293241")
    canvas.rect(x - 14, y + 8, 18, 12, "#b08968", 2)


def scoreboard(canvas: Canvas, look: Look, moment: Moment) -> None:
    """Final standings, row by row; rows are ``name:score``, the first is the winner."""
    canvas.gradient(text(look, "top", "#0b132b"), text(look, "bottom", "#3a506b"))
    width, height = canvas.width, canvas.height
    for ray in range(12):
        angle = ray * math.pi / 6 + moment.t * 0.4
        far = width + height
        canvas.polygon(
            [
                (width / 2, height * 0.2),
                (width / 2 + far * math.cos(angle), height * 0.2 + far * math.sin(angle)),
                (width / 2 + far * math.cos(angle + 0.14), height * 0.2 + far * math.sin(angle + 0.14)),
            ],
            text(look, "ray", "#1c2541"),
        )
    canvas.text(width / 2, height * 0.14, text(look, "title"), 34, text(look, "gold", "#ffd166"), "mm", bold=True)
    for index, row in enumerate(items(look, "rows")):
        name, score = row.rsplit(":", 1)
        push = width * (1 - ease((moment.t - 0.2 - index * 0.35) / 0.5))
        y = height * 0.28 + index * 44
        canvas.rect(width * 0.12 + push, y, width * 0.76, 36, "#ffd166" if index == 0 else "#e0e6ee", 6)
        canvas.text(width * 0.16 + push, y + 18, name, 18, "#0b132b", "lm", bold=index == 0)
        canvas.text(width * 0.84 + push, y + 18, score, 18, "#0b132b", "rm", bold=True)
