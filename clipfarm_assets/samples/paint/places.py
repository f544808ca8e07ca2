"""Landscapes and a record player, for the videos without narration."""

import math
import random

from clipfarm_assets.samples.model import Look
from clipfarm_assets.samples.paint.canvas import Canvas, ease, mix
from clipfarm_assets.samples.paint.moment import Moment, text


def sunset(canvas: Canvas, look: Look, moment: Moment) -> None:
    """The sun goes down behind the sea, its light on the waves."""
    share = moment.progress
    top, bottom = mix((242, 158, 76), (67, 40, 92), share), mix((255, 220, 150), (226, 85, 77), share)
    width, height = canvas.width, canvas.height
    sea = height * 0.62
    canvas.gradient(top, bottom, 0, sea)
    y = height * (0.36 + 0.26 * share)
    canvas.ellipse(width * 0.5, y, width * 0.15, fill="#ffe8a3")
    canvas.gradient(mix((190, 110, 90), (70, 35, 80), share), "#1d1b3a", sea)
    for row in range(16):
        wide = 90 - row * 3 + 24 * math.sin(moment.t * 1.7 + row * 1.3)
        drift = 14 * math.sin(moment.t * 0.9 + row)
        canvas.rect(width / 2 - wide / 2 + drift, sea + 6 + row * 14, wide, 3, "#ffd9a0", 1.5)
    for bird in range(4):
        x, wing = (moment.t * 26 + bird * 70) % (width + 60) - 30, 5 * math.sin(moment.t * 7 + bird)
        y = height * 0.18 + bird % 2 * 30
        canvas.path([(x - 10, y - wing), (x, y), (x + 10, y - wing)], "#3a2436", 2)


def stars(canvas: Canvas, look: Look, moment: Moment) -> None:
    """Night over hills; the sky turns."""
    canvas.gradient("#05081c", "#1b2f5b")
    width, height = canvas.width, canvas.height
    rng = random.Random(11)
    for _ in range(90):
        radius, angle = rng.random() * height * 0.9, rng.random() * math.tau + moment.t * 0.05
        x, y = width * 0.5 + radius * math.cos(angle), height * 0.3 + radius * math.sin(angle)
        canvas.ellipse(x, y, 0.8 + rng.random() * 1.2, fill="#eef3ff")
    fall = moment.t % 3
    canvas.path([(40 + fall * 150, 60 + fall * 70), (15 + fall * 150, 48 + fall * 70)], "#ffffff", 2)
    for hill in range(4):
        canvas.ellipse(
            width * hill / 3, height * 1.02, width * 0.34, height * (0.17 + 0.04 * (hill % 2)), fill="#0a0f1e"
        )


def meadow(canvas: Canvas, look: Look, moment: Moment) -> None:
    """Grass in the wind under clouds by day."""
    canvas.gradient("#8fd3f4", "#e8f8ff")
    width, height = canvas.width, canvas.height
    for cloud in range(4):
        x = (cloud * 130 + moment.t * 18) % (width + 140) - 70
        for puff in range(3):
            canvas.ellipse(x + puff * 22, 90 + cloud * 60, 26, 16, fill="#ffffff")
    canvas.gradient("#8ccf5a", "#3d8b37", height * 0.6)
    for blade in range(46):
        x, row = blade * width / 45, blade % 3
        lean = 10 * math.sin(moment.t * 2.2 + blade * 0.35)
        foot = height * (0.72 + row * 0.12)
        canvas.polygon(
            [(x - 4, foot), (x + lean, foot - 50 - row * 8), (x + 4, foot)], ("#2f7d32", "#4caf50", "#7cb342")[row]
        )


def turntable(canvas: Canvas, look: Look, moment: Moment) -> None:
    """A record turns; the rings pulse twice a second."""
    canvas.gradient(text(look, "top", "#ff006e"), text(look, "bottom", "#8338ec"))
    width, height = canvas.width, canvas.height
    x, y, size = width / 2, height * 0.45, width * 0.36
    beat = 1 - moment.t * 2 % 1.0
    for ring in range(3):
        canvas.ellipse(x, y, size * (1.1 + ring * 0.16 + beat * 0.05), outline="#ffbe0b", line=3)
    canvas.ellipse(x, y, size, fill="#121212")
    for groove in range(5):
        canvas.ellipse(x, y, size * (0.5 + groove * 0.1), outline="#2e2e2e", line=1)
    canvas.ellipse(x, y, size * 0.34, fill="#fb5607")
    angle = moment.t * 3.5
    canvas.path([(x, y), (x + size * 0.34 * math.cos(angle), y + size * 0.34 * math.sin(angle))], "#ffffff", 4)
    canvas.path(
        [(width * 0.93, height * 0.2), (width * 0.85, height * 0.5), (x + size * 0.6, y + size * 0.4)], "#e0e0e0", 6
    )
    canvas.text(width / 2, height * 0.82, text(look, "words"), 30, "#ffffff", "mm", bold=True)


def equaliser(canvas: Canvas, look: Look, moment: Moment) -> None:
    """Columns of lights that jump with the beat."""
    canvas.gradient(text(look, "top", "#03071e"), text(look, "bottom", "#0b132b"))
    beat = ease(1 - moment.t * 2 % 1.0)
    for column in range(9):
        high = 3 + int(13 * abs(math.sin(column * 1.1 + int(moment.t * 8) * 0.9)) * (0.45 + 0.55 * beat))
        for row in range(high):
            colour = "#00f5d4" if row < 8 else "#fee440" if row < 12 else "#f15bb5"
            pitch = canvas.width / 9
            canvas.rect(column * pitch + 4, canvas.height * 0.88 - row * 28, pitch - 8, 22, colour, 4)
    canvas.text(canvas.width / 2, 60, text(look, "words"), 34, "#ffffff", "mm", bold=True)
