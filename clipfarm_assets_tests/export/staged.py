"""Small films whose subject's place is known: each gives frames, and where the subject's middle is in them (0 to 1)."""

from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

SIZE = (640, 360)
RATE = 25
SECONDS = 6.0

Picture = NDArray[np.uint8]
Film = Callable[[float], tuple[Picture, float | None]]

_RANDOM = np.random.default_rng(7)
_ROOM = np.kron(_RANDOM.integers(40, 200, (60, 140, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
_NOISE = _RANDOM.integers(0, 255, (32, 45, 80, 3), np.uint8)


def room(x: float = 0, y: float = 0) -> Picture:
    """A textured wall, seen from another place."""
    left, top = round(x) % 400, round(y) % 100
    return _ROOM[top : top + SIZE[1], left : left + SIZE[0]].copy()


def disc(image: Picture, x: float, y: float, radius: float, colour: tuple[int, int, int]) -> None:
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    image[(columns - x * SIZE[0]) ** 2 + (rows - y * SIZE[1]) ** 2 <= radius**2] = colour


def talker(image: Picture, x: float, sec: float) -> None:
    """A head that nods a little, with a mouth that opens and closes."""
    sway = 0.004 * np.sin(2 * np.pi * 0.7 * sec)
    disc(image, x + sway, 0.45, 70, (210, 160, 130))
    disc(image, x + sway - 0.035, 0.40, 8, (20, 20, 40))
    disc(image, x + sway + 0.035, 0.40, 8, (20, 20, 40))
    disc(image, x + sway, 0.55, 6 + 12 * abs(np.sin(2 * np.pi * 2.3 * sec)), (120, 20, 30))


def talks_left(sec: float) -> tuple[Picture, float | None]:
    image = room()
    talker(image, 0.2, sec)
    return image, 0.2


def walks_across(sec: float) -> tuple[Picture, float | None]:
    image, x = room(), 0.1 + 0.8 * sec / SECONDS
    disc(image, x, 0.5, 45, (220, 60, 60))
    return image, x


def two_talk_in_turn(sec: float) -> tuple[Picture, float | None]:
    x = 0.25 if sec < 3 else 0.75
    image = room() if sec < 3 else 255 - room(200, 60)
    talker(image, x, sec)
    return image, x


def camera_pans(sec: float) -> tuple[Picture, float | None]:
    image = room(40 * sec, 0)
    talker(image, 0.3, sec)
    return image, 0.3


def camera_shakes(sec: float) -> tuple[Picture, float | None]:
    image = room(20 + 3 * np.sin(31 * sec), 20 + 3 * np.cos(23 * sec))
    talker(image, 0.7 + 0.004 * np.sin(31 * sec), sec)
    return image, 0.7


def stands_still(sec: float) -> tuple[Picture, float | None]:
    image = np.full((SIZE[1], SIZE[0], 3), (90, 110, 100), np.uint8)
    disc(image, 0.75, 0.5, 50, (250, 220, 30))
    return image, 0.75


def light_flickers(sec: float) -> tuple[Picture, float | None]:
    image = room()
    talker(image, 0.8, sec)
    return (image * (0.8 + 0.2 * np.sin(17 * sec))).astype(np.uint8), 0.8


def waves_below(sec: float) -> tuple[Picture, float | None]:
    image = room()
    talker(image, 0.25, sec)
    image[300:] = 10
    for n in range(40):
        high = 4 + 20 * abs(np.sin(9 * sec + 2.1 * n))
        image[round(330 - high) : round(330 + high), n * 16 + 2 : n * 16 + 12] = (240, 220, 160)
    return image, 0.25


def hops_about(sec: float) -> tuple[Picture, float | None]:
    image, x = room(), 0.5 + 0.12 * np.sign(np.sin(2 * np.pi * 1.6 * sec))
    disc(image, x, 0.5 - 0.1 * abs(np.sin(10 * sec)), 30, (60, 220, 90))
    return image, 0.5


def clock_and_talker(sec: float) -> tuple[Picture, float | None]:
    """Something small moves in a far corner all the time."""
    image = room()
    talker(image, 0.3, sec)
    angle = 2 * np.pi * sec
    disc(image, 0.95 + 0.01 * np.cos(angle), 0.08 + 0.02 * np.sin(angle), 6, (255, 255, 255))
    return image, 0.3


def noise_all_over(sec: float) -> tuple[Picture, float | None]:
    return np.kron(_NOISE[round(sec * RATE) % 32], np.ones((8, 8, 1), np.uint8)), None


def empty_room(sec: float) -> tuple[Picture, float | None]:
    return room(), None


FILMS: dict[str, Film] = {
    film.__name__: film
    for film in (
        talks_left, walks_across, two_talk_in_turn, camera_pans, camera_shakes, stands_still, light_flickers,
        waves_below, hops_about, clock_and_talker, noise_all_over, empty_room,
    )
}  # fmt: skip


def shoot(film: Film) -> Iterator[tuple[float, av.VideoFrame, float | None]]:
    """Time, frame, and where the subject is."""
    for number in range(round(SECONDS * RATE)):
        image, x = film(number / RATE)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, RATE)
        yield number / RATE, frame, x
