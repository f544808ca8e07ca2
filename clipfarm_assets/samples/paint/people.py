"""Podcasts and talks: people who speak, slides, charts, cards."""

import math

from clipfarm_assets.samples.model import Look
from clipfarm_assets.samples.paint.canvas import Canvas, ease
from clipfarm_assets.samples.paint.moment import Moment, items, number, text

INK = "#1c2230"
PAPER = "#f4efe4"


def person(canvas: Canvas, x: float, y: float, size: float, look: Look, mouth: float, t: float) -> None:
    """A head and shoulders; ``size`` is the head's radius, ``mouth`` how far it is open (0-1)."""
    sway = math.sin(t * 1.3) * size * 0.06
    skin, hair, shirt = text(look, "skin", "#d9a37c"), text(look, "hair", "#2b1d16"), text(look, "shirt", "#35618f")
    x += sway
    canvas.rect(x - size * 1.7, y + size * 1.25, size * 3.4, size * 3, shirt, size * 0.9)
    canvas.rect(x - size * 0.35, y + size * 0.6, size * 0.7, size * 0.9, skin, size * 0.2)
    canvas.ellipse(x, y - size * 0.15, size * 1.08, size * 1.2, fill=hair)
    canvas.ellipse(x, y + size * 0.1, size * 0.88, size * 1.02, fill=skin)
    canvas.rect(x - size * 0.9, y - size * 1.0, size * 1.8, size * 0.55, hair, size * 0.3)
    lid = 0.02 if t % 3.1 < 0.12 else 0.14
    for side in (-1, 1):
        canvas.ellipse(x + side * size * 0.36 + sway, y, size * 0.11, size * lid, fill=INK)
        canvas.path(
            [(x + side * size * 0.2, y - size * 0.28), (x + side * size * 0.52, y - size * (0.3 + mouth * 0.06))],
            hair,
            size * 0.08,
        )
    canvas.ellipse(x + sway * 0.5, y + size * 0.58, size * 0.3, size * (0.05 + 0.2 * mouth), fill="#7a2f35")


def microphone(canvas: Canvas, x: float, y: float, size: float) -> None:
    """A studio microphone on its arm."""
    canvas.path([(x, y), (x + size * 1.6, y + size * 2.4), (x + size * 1.1, y + size * 6)], "#0f1116", size * 0.25)
    canvas.rect(x - size * 0.55, y - size * 0.9, size * 1.1, size * 1.8, "#20242e", size * 0.5)
    for row in range(4):
        y_row = y - size * 0.5 + row * size * 0.3
        canvas.path([(x - size * 0.45, y_row), (x + size * 0.45, y_row)], "#4b5365", size * 0.08)


def wave(canvas: Canvas, y: float, height: float, colour: str, level: float, t: float) -> None:
    """Bars over the whole width that follow the voice."""
    count = 27
    pitch = canvas.width / count
    for bar in range(count):
        swing = 0.35 + 0.65 * abs(math.sin(bar * 1.7 + t * 9) * math.cos(bar * 0.6 - t * 5))
        tall = height * (0.06 + level * swing)
        canvas.rect(bar * pitch + pitch * 0.2, y - tall / 2, pitch * 0.6, tall, colour, pitch * 0.3)


def _speaking(look: Look, moment: Moment) -> float:
    return moment.level if moment.speaker == text(look, "speaker") else 0.0


def close_up(canvas: Canvas, look: Look, moment: Moment) -> None:
    """One person at the microphone, with a name plate and the voice as bars."""
    canvas.gradient(text(look, "top", "#26324a"), text(look, "bottom", "#10151f"))
    width, height = canvas.width, canvas.height
    for shelf in range(3):
        y = height * (0.14 + shelf * 0.13)
        canvas.rect(0, y, width, 4, "#151a24")
        for book in range(int(width / 26)):
            tall = 18 + (book * 7 + shelf * 11) % 16
            colour = ("#b5523b", "#d8a048", "#4b7f6b", "#7d6a9b")[(book * 3 + shelf) % 4]
            if (book + shelf) % 5:
                canvas.rect(book * 26 + 6, y - tall, 9 + book % 3 * 3, tall, colour, 1)
    glow = 30 + 4 * math.sin(moment.t * 2)
    canvas.ellipse(width * 0.84, height * 0.12, glow, fill=text(look, "lamp", "#f2c14e"))
    side = number(look, "side", 0.5)
    size = min(width * 0.22, height * 0.2)
    person(canvas, width * side, height * 0.47, size, look, _speaking(look, moment), moment.t)
    microphone(canvas, width * (side + 0.2), height * 0.66, size * 0.34)
    bar = height * 0.115
    canvas.rect(0, height - bar * 2, width, bar * 2, text(look, "plate", "#0c0f16"))
    wave(canvas, height - bar * 0.55, bar * 0.9, text(look, "lamp", "#f2c14e"), moment.level, moment.t)
    slide = ease(moment.t / 0.6)
    canvas.text(16 * slide, height - bar * 1.85, text(look, "name"), 19, "white", bold=True)
    canvas.text(width - 16, height - bar * 1.78, text(look, "role"), 13, "#b8c0d0", "ra")


def two_shot(canvas: Canvas, look: Look, moment: Moment) -> None:
    """Both people at a table, in another light than the close-ups."""
    canvas.gradient(text(look, "top", "#e9d8b8"), text(look, "bottom", "#c98f5f"))
    width, height = canvas.width, canvas.height
    for window in range(3):
        x = width * (0.08 + window * 0.32)
        canvas.rect(x, height * 0.1, width * 0.22, height * 0.3, "#fdf6e3", 6)
        drift = (moment.t * 6 + window * 40) % (width * 0.2)
        canvas.ellipse(x + drift + 4, height * 0.2, 9, 5, fill="#dfe9ee")
    size = min(width * 0.11, height * 0.12)
    for place, name in enumerate(items(look, "speakers")):
        shirt, skin, hair = (items(look, part)[place] for part in ("shirts", "skins", "hairs"))
        mouth = moment.level if moment.speaker == name else 0.0
        outfit = {"shirt": shirt, "skin": skin, "hair": hair}
        person(canvas, width * (0.27 + 0.46 * place), height * 0.52, size, outfit, mouth, moment.t + place)
    canvas.rect(-10, height * 0.76, width + 20, height * 0.3, "#5c3a25", 8)
    for place in range(2):
        microphone(canvas, width * (0.36 + 0.24 * place), height * 0.68, size * 0.35)
    canvas.rect(width * 0.46, height * 0.71, width * 0.06, height * 0.07, "#f7f3ea", 3)
    wave(canvas, height * 0.9, height * 0.1, "#f2c79a", moment.level, moment.t)


def card(canvas: Canvas, look: Look, moment: Moment) -> None:
    """Large words on colour that appear one after the other, over slow discs."""
    canvas.gradient(text(look, "top", "#f25f4c"), text(look, "bottom", "#a8324a"))
    width, height = canvas.width, canvas.height
    for disc in range(5):
        angle = moment.t * 0.5 + disc * 1.26
        x, y = width * (0.5 + 0.42 * math.cos(angle)), height * (0.5 + 0.4 * math.sin(angle * 0.8))
        canvas.ellipse(x, y, 26 + disc * 9, outline=text(look, "ring", "#ffd7a8"), line=2)
    words = text(look, "words").split()
    shown = words[: max(1, math.ceil(len(words) * min(moment.progress * 2.2, 1.0)))]
    size = number(look, "size", 34)
    canvas.paragraph(
        width / 2,
        height * number(look, "y", 0.3),
        " ".join(shown),
        size,
        text(look, "ink", "#fffaf0"),
        width * 0.84,
        centre=True,
        bold=True,
    )
    canvas.rect(width * 0.1, height * 0.88, width * 0.8 * ease(moment.progress), 5, text(look, "ring", "#ffd7a8"), 2)
    canvas.text(width / 2, height * 0.92, text(look, "small"), 14, text(look, "ink", "#fffaf0"), "ma")


def stage(canvas: Canvas, look: Look, moment: Moment) -> None:
    """A speaker on a dark stage, seen from the audience, with a lit screen behind."""
    canvas.gradient("#221a3a", "#0b0912")
    width, height = canvas.width, canvas.height
    canvas.rect(width * 0.3, height * 0.1, width * 0.62, height * 0.46, text(look, "screen", "#f2e9d8"), 4)
    canvas.paragraph(width * 0.61, height * 0.2, text(look, "words"), 26, INK, width * 0.54, centre=True, bold=True)
    walk = width * (0.17 + 0.04 * math.sin(moment.t * 0.35))
    canvas.polygon([(walk - 8, 0), (walk + 8, 0), (walk + 95, height * 0.9), (walk - 95, height * 0.9)], "#37305a")
    outfit = {"shirt": "#c9503f", "skin": "#b97b56", "hair": "#1a1310"}
    canvas.rect(walk - 26, height * 0.6, 52, height * 0.3, "#c9503f", 14)
    person(canvas, walk, height * 0.42, 24, outfit, _speaking(look, moment), moment.t)
    canvas.rect(0, height * 0.86, width, height * 0.14, "#07060b")
    for head in range(14):
        nod = 2 * math.sin(moment.t * 0.8 + head * 2.1)
        canvas.ellipse(head * width / 13, height * 0.95 + nod, 19, 22, fill="#15121f")


def slide(canvas: Canvas, look: Look, moment: Moment) -> None:
    """A slide whose points appear as the talk reaches them."""
    canvas.gradient(text(look, "top", PAPER), text(look, "bottom", "#e6dcc6"))
    width, height = canvas.width, canvas.height
    ink = text(look, "ink", INK)
    accent = text(look, "accent", "#c9503f")
    canvas.rect(0, 0, 12, height, accent)
    canvas.text(40, 30, text(look, "title"), 30, ink, bold=True)
    canvas.rect(40, 72, (width - 80) * ease(moment.t / 1.2), 3, accent)
    points = items(look, "points")
    for index, point in enumerate(points):
        since = moment.t - moment.length * 0.92 * index / max(len(points), 1)
        if since < 0.4:
            break
        y = 100 + index * 52
        push = 30 * (1 - ease((since - 0.4) / 0.5))
        canvas.rect(44 + push, y, 24, 24, None, 5, accent, 2)
        tick = ease((since - 1.2) / 0.4)
        if tick > 0:
            canvas.path(
                [(49 + push, y + 12), (55 + push, y + 18), (55 + push + 9 * tick, y + 18 - 12 * tick)], accent, 3
            )
        canvas.text(84 + push, y + 1, point, 20, ink)
    canvas.text(width - 24, height - 30, text(look, "page"), 13, ink, "ra")
    canvas.rect(0, height - 4, width * moment.progress, 4, accent)


def chart(canvas: Canvas, look: Look, moment: Moment) -> None:
    """Bars that grow to the percentages given as ``label:value``."""
    canvas.gradient(text(look, "top", "#0e3b43"), text(look, "bottom", "#072227"))
    width, height = canvas.width, canvas.height
    canvas.text(width / 2, height * 0.07, text(look, "title"), 26, "#f2f7f5", "ma", bold=True)
    bars = [item.rsplit(":", 1) for item in items(look, "bars")]
    for index, (label, value) in enumerate(bars):
        grown = float(value) * ease((moment.t - 0.5 - index * 0.7) / 1.4)
        slot = width * 0.86 / len(bars)
        x, full = width * 0.07 + slot * index, height * 0.55
        pulse = 2 * math.sin(moment.t * 2 + index)
        colour = ("#f2a65a", "#6fc2b0", "#e8d27a", "#d9647a")[index % 4]
        canvas.rect(
            x + slot * 0.15,
            height * 0.8 - full * grown / 100 - pulse,
            slot * 0.7,
            full * grown / 100 + pulse,
            colour,
            4,
        )
        canvas.text(x + slot / 2, height * 0.83, label, 15, "#cfe3df", "ma")
        canvas.text(x + slot / 2, height * 0.76 - full * grown / 100, f"{grown:.0f}", 18, "white", "mb", bold=True)
    canvas.path([(width * 0.06, height * 0.8), (width * 0.94, height * 0.8)], "#cfe3df", 2)
