"""Screen recordings of Ledgerly, an invented bookkeeping app, with a moving cursor."""

import math

from clipfarm_assets.samples.model import Look
from clipfarm_assets.samples.paint.canvas import Canvas, ease
from clipfarm_assets.samples.paint.moment import Moment, items, text

_THEMES = {
    "light": ("#f5f7fb", "#ffffff", "#1f2937", "#3b5bdb"),
    "dark": ("#171a21", "#252a34", "#e6e9ef", "#20a39e"),
    "alarm": ("#8f1d2c", "#ffc9c9", "#5b0f19", "#c92a2a"),
    "help": ("#123c69", "#bcd7f0", "#10263f", "#1c7ed6"),
    "success": ("#1b7f4b", "#b2ecc8", "#0c3d24", "#2b8a3e"),
    "violet": ("#6741d9", "#b197fc", "#2b1a5e", "#7950f2"),
    "amber": ("#f59f00", "#ffc078", "#513400", "#e67700"),
}


def app(canvas: Canvas, look: Look, moment: Moment) -> None:
    """One screen: a title, rows or fields that fill, an optional progress bar, a button, a message that drops in."""
    back, paper, ink, accent = _THEMES[text(look, "theme", "light")]
    width, height = canvas.width, canvas.height
    canvas.gradient(back, back)
    wide = width > height
    left = 130.0 if wide else 0.0
    if wide:
        canvas.rect(0, 0, left, height, accent)
        for index, name in enumerate(("Home", "Invoices", "Reports", "Files", "Settings")):
            canvas.text(18, 62 + index * 34, name, 14, "#ffffff", bold=name == text(look, "tab"))
    canvas.rect(0, 0, width, 38, "#0b0d12")
    canvas.text(14, 19, "Ledgerly", 16, "#ffffff", "lm", bold=True)
    canvas.text(width - 14, 19, text(look, "account"), 12, "#aab2c0", "rm")
    x, y, span = left + 22, 56.0, width - left - 44
    canvas.rect(x - 8, y - 6, span + 16, height - y - 10, paper, 10)
    canvas.text(x + 6, y + 4, text(look, "title"), 20 if wide else 18, ink, bold=True)
    y = _fields(canvas, look, moment, (x + 6, y + 40, span - 12), (ink, accent))
    y = _progress(canvas, look, moment, (x + 6, y, span - 12), accent)
    button_y = min(y + 10, height - 70)
    label = text(look, "button")
    if label:
        pressed = 0.62 < moment.progress < 0.7
        canvas.rect(x + 6, button_y, canvas.text_width(label, 15) + 34, 32, ink if pressed else accent, 6)
        canvas.text(x + 23, button_y + 16, label, 15, "#ffffff", "lm", bold=True)
    _message(canvas, look, moment, accent)
    _cursor(canvas, moment, (x + 50, button_y + 18))


def _fields(
    canvas: Canvas, look: Look, moment: Moment, place: tuple[float, float, float], colours: tuple[str, str]
) -> float:
    x, y, span = place
    grow = 1.0 if canvas.width > canvas.height else 1.3
    size = 13 * grow
    for index, row in enumerate(items(look, "rows")):
        label, _, value = row.partition(":")
        typed = value.strip()[: max(int((moment.t - 0.5 - index * 0.8) * 16), 0)]
        canvas.text(x, y, label, size, colours[0])
        canvas.rect(x + span * 0.36, y - 4 * grow, span * 0.62, 24 * grow, "#ffffff", 4, colours[1], 1)
        caret = "|" if typed != value.strip() and math.sin(moment.t * 8) > 0 else ""
        canvas.text(x + span * 0.36 + 8, y, typed + caret, size, "#1f2937")
        y += 33 * grow**2
    return y


def _progress(canvas: Canvas, look: Look, moment: Moment, place: tuple[float, float, float], accent: str) -> float:
    stop = float(text(look, "progress_to", "-1"))
    if stop < 0:
        return place[1]
    x, y, span = place
    done = stop * ease(moment.progress * 1.5)
    canvas.rect(x, y + 4, span, 16, "#ced4da", 8)
    canvas.rect(x, y + 4, span * done / 100, 16, accent, 8)
    canvas.text(x + span / 2, y + 34, f"{done:.0f} %", 14, accent, "mm", bold=True)
    canvas.arc(x + 14, y + 36, 9, moment.t * 300 % 360, moment.t * 300 % 360 + 250, accent, 3)
    return y + 48


def _message(canvas: Canvas, look: Look, moment: Moment, accent: str) -> None:
    words = text(look, "message")
    since = moment.t - float(text(look, "message_at", "0.8"))
    if not words or since < 0:
        return
    width, height = canvas.width, canvas.height
    box = min(width * 0.8, 400)
    shake = 8 * math.sin(since * 38) * max(0.5 - since, 0)
    x, y = (width - box) / 2 + shake, height * 0.4 - 40 * (1 - ease(since / 0.3))
    canvas.rect(x + 5, y + 7, box, 118, "#22262e", 12)
    canvas.rect(x, y, box, 118, "#ffffff", 12, accent, 3)
    canvas.ellipse(x + 30, y + 34, 16, fill=accent)
    canvas.text(x + 30, y + 34, text(look, "sign", "!"), 20, "#ffffff", "mm", bold=True)
    canvas.paragraph(x + 60, y + 22, words, 16, "#1f2937", box - 76, bold=True)
    canvas.text(x + box - 20, y + 96, text(look, "action", "OK"), 14, accent, "rm", bold=True)


def _cursor(canvas: Canvas, moment: Moment, goal: tuple[float, float]) -> None:
    """A pointer that wanders, goes to the button, clicks, and wanders on."""
    near = ease(moment.progress / 0.6) - ease((moment.progress - 0.75) / 0.25) * 0.7
    x = goal[0] * near + (1 - near) * (canvas.width * (0.6 + 0.2 * math.sin(moment.t * 1.1)))
    y = goal[1] * near + (1 - near) * (canvas.height * (0.5 + 0.25 * math.cos(moment.t * 0.9)))
    click = (moment.progress - 0.62) * moment.length
    if 0 < click < 0.4:
        canvas.ellipse(x, y, 40 * click + 4, outline="#f08c00", line=3)
    shape = ((0, 0), (0, 19), (5, 14), (9, 22), (12, 20), (8, 13), (14, 13))
    canvas.polygon([(x + dx - 1, y + dy - 2) for dx, dy in shape], "#ffffff")
    canvas.polygon([(x + dx * 0.85, y + dy * 0.85) for dx, dy in shape], "#111111")
