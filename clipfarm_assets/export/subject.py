"""Where the subject of a clip is, by what moves.

In: the frames of a clip. Out: ``Shot``s that cover it, each with the way of the camera's middle along the axis that is
cut. A shot without anything that stands out is framed in the middle. Nothing can go wrong.

What moves against the rest of the picture is the subject: differences between small grey pictures, the movement of the
whole picture taken out by phase correlation. In a shot where nothing moves it is what differs most in colour from the
picture's mean (Achanta et al. 2009, "Frequency-tuned salient region detection"). The camera holds still wherever one
place keeps most of the movement, else follows it on a path found by dynamic programming, smoothed; a cut ends a path.
Faces are not looked for, as that would take weights.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from clipfarm_assets.export.reframe import Axis
from clipfarm_assets.media.orientation import Turn, turn_of, turned
from clipfarm_assets.media.scenes import CONTENT_THRESHOLD, SHORTEST_SCENE_SEC

if TYPE_CHECKING:
    from scenedetect import ContentDetector

Profile = NDArray[np.float64]

_LONG_SIDE = 160
_SAMPLE_SEC = 0.12
_BINS = 80
_BANDS = 12  # of the other axis
_NOISE = 6.0  # grey levels; coding noise stays below
_LEAST_MOVEMENT = 0.02  # mean grey levels a picture, above the noise
_STANDS_OUT = 0.25  # of what could stand out: 0 where movement is even all over, 1 where all of it fits into the cut
_HOLDS = 0.8  # of the movement that a still camera must keep, to be preferred
_SMOOTH_SEC = 0.5
_STILL = 0.1  # of the cut's width; a path that stays within that is none
_SAME_PLACE = 0.6  # correlation of two pictures, one moved onto the other: there is no cut between them
_MOVE_COST = 60.0  # of a step of the whole axis, squared, against all of a sample's movement


@dataclass(frozen=True)
class Shot:
    """A stretch between two cuts, and where the camera looks in it.

    Attributes:
        is_found: something stood out; else the camera looks at the middle.
        times_sec, centres: knots of the camera's path: source seconds, and 0 to 1 along the axis. One knot: it holds.
    """

    start_sec: float
    is_found: bool
    times_sec: tuple[float, ...]
    centres: tuple[float, ...]

    @property
    def is_moving(self) -> bool:
        return len(self.centres) > 1

    def centre(self, time_sec: float) -> float:
        return float(np.interp(time_sec, self.times_sec, self.centres))


def centred(start_sec: float) -> Shot:
    """A shot whose camera looks at the middle."""
    return Shot(start_sec, False, (start_sec,), (0.5,))


def find_shots(
    frames: Iterable[tuple[float, av.VideoFrame]], axis: Axis, kept: float, cuts_sec: Sequence[float] | None = None
) -> list[Shot]:
    """The shots of a clip in order.

    Args:
        frames: time and frame, all of the clip.
        kept: how much of the axis the cut keeps, 0 to 1.
        cuts_sec: where scenes begin, if that is known; looked for otherwise.
    """
    cutter = _Cutter(cuts_sec)
    watched: _Watched | None = None
    shots: list[Shot] = []
    turn: Turn | None = None
    scaler = VideoReformatter()  # one for all: a frame's own would set itself up anew for each
    for time_sec, frame in frames:
        turn = turn_of(frame) if turn is None else turn
        image = _small(frame, turn, scaler)
        if cutter.is_cut(time_sec, image) and watched is not None:
            shots.append(_shot(watched, kept))
            watched = None
        if watched is None:
            watched = _Watched(axis, time_sec)
        watched.add(time_sec, image)
    return [*shots, _shot(watched, kept)] if watched is not None else shots


class _Cutter:
    """Tells the first frame of each scene."""

    def __init__(self, cuts_sec: Sequence[float] | None) -> None:
        self._left = None if cuts_sec is None else sorted(cuts_sec, reverse=True)
        self._detector: ContentDetector | None = None
        self._before: Profile | None = None

    def is_cut(self, time_sec: float, image: NDArray[np.uint8]) -> bool:
        if self._left is None:
            return self._detected(time_sec, image)
        found = False
        while self._left and self._left[-1] <= time_sec + 1e-6:
            self._left.pop()
            found = True
        return found

    def _detected(self, time_sec: float, image: NDArray[np.uint8]) -> bool:
        from fractions import Fraction

        from scenedetect import ContentDetector, FrameTimecode
        from scenedetect.common import Timecode
        from scenedetect.detector import FlashFilter

        if self._detector is None:
            mode = FlashFilter.Mode.SUPPRESS
            self._detector = ContentDetector(CONTENT_THRESHOLD, min_scene_len=SHORTEST_SCENE_SEC, filter_mode=mode)
        ticks = Timecode(round(time_sec * 1_000_000), Fraction(1, 1_000_000))
        is_cut = bool(self._detector.process_frame(FrameTimecode(ticks, fps=Fraction(25)), image[:, :, ::-1]))
        grey, before = image.mean(axis=2), self._before
        self._before = grey
        return is_cut and not (before is not None and _is_same_place(before, grey))


@dataclass
class _Watched:
    """What was seen of one shot: per sample where something moved."""

    axis: Axis
    start_sec: float
    times_sec: list[float] = field(default_factory=list)
    maps: list[NDArray[np.float32]] = field(default_factory=list)
    colours: NDArray[np.float64] | None = None
    n_colours: int = 0
    _grey: NDArray[np.float64] | None = None
    _last_sec: float = float("-inf")

    def add(self, time_sec: float, image: NDArray[np.uint8]) -> None:
        if time_sec - self._last_sec < _SAMPLE_SEC:
            return
        colours = image.astype(np.float64)
        grey = colours.mean(axis=2)
        if self._grey is not None and self._grey.shape == grey.shape:
            self.times_sec.append((time_sec + self._last_sec) / 2)
            self.maps.append(_map(_movement(self._grey, grey), self.axis).astype(np.float32))
        if self.colours is None or self.colours.shape != colours.shape:
            self.colours, self.n_colours = np.zeros_like(colours), 0
        self.colours += colours
        self.n_colours += 1
        self._grey, self._last_sec = grey, time_sec


def _is_same_place(before: Profile, after: Profile) -> bool:
    """A camera that shakes changes every pixel, and yet shows what it showed, elsewhere in the picture."""
    if before.shape != after.shape or (shift := _shift(before, after)) == (0, 0):
        return False
    moved = np.roll(before, shift, axis=(0, 1))
    return float(np.corrcoef(moved.ravel(), after.ravel())[0, 1]) > _SAME_PLACE


def _small(frame: av.VideoFrame, turn: Turn, scaler: VideoReformatter) -> NDArray[np.uint8]:
    scale = min(1.0, _LONG_SIDE / max(frame.width, frame.height))
    size = max(2, round(frame.width * scale)), max(2, round(frame.height * scale))
    small: NDArray[np.uint8] = scaler.reformat(frame, *size, format="rgb24", interpolation="AREA").to_ndarray()  # type: ignore[assignment]
    return turned(small, turn)


def _movement(before: Profile, after: Profile) -> Profile:
    """Difference of two pictures, above noise, once the first is moved onto the second."""
    difference = _nearest_difference(before, after)
    # A change of light is everywhere; the median is it.
    return np.maximum(difference - np.median(difference) - _NOISE, 0.0)


def _nearest_difference(before: Profile, after: Profile) -> Profile:
    """Of each pixel from the nearest of nine around its place before: a picture also moves by parts of a pixel."""
    rows, columns = _shift(before, after)
    steps = [(rows + down, columns + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    difference: Profile = np.min([np.abs(after - np.roll(before, step, axis=(0, 1))) for step in steps], axis=0)
    # What came in at the edges has nothing to be compared with.
    difference[: max(rows, 0)] = difference[len(difference) + min(rows, 0) :] = 0
    difference[:, : max(columns, 0)] = difference[:, difference.shape[1] + min(columns, 0) :] = 0
    return difference


def _shift(before: Profile, after: Profile) -> tuple[int, int]:
    """Whole pixels that the picture moved as a whole; none where that does not explain it better."""
    window = np.hanning(before.shape[0])[:, None] * np.hanning(before.shape[1])[None, :]
    cross = np.fft.rfft2((after - after.mean()) * window) * np.conj(np.fft.rfft2((before - before.mean()) * window))
    peak = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), before.shape)
    at = np.unravel_index(int(np.argmax(peak)), peak.shape)
    rows, columns = (int(a) - n if a > n // 2 else int(a) for a, n in zip(at, before.shape, strict=True))
    if abs(rows) > before.shape[0] // 4 or abs(columns) > before.shape[1] // 4:
        return 0, 0
    still = np.abs(after - before).mean()
    moved = np.abs(after - np.roll(before, (rows, columns), axis=(0, 1))).mean()
    return (rows, columns) if moved < 0.8 * still else (0, 0)


def _map(picture: Profile, axis: Axis) -> Profile:
    """Means over ``_BANDS`` equal parts of the other axis and ``_BINS`` of this one."""
    along = picture if axis == "columns" else picture.T
    return _resized(_resized(along, _BINS).T, _BANDS).T


def _resized(rows: Profile, n: int) -> Profile:
    """Each row as means over ``n`` equal parts."""
    length = rows.shape[1]
    sums = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows, axis=1)], axis=1)
    edges = np.linspace(0, length, n + 1)
    whole = np.minimum(edges.astype(int), length - 1)
    at = sums[:, whole] + (edges - whole) * rows[:, whole]
    means: Profile = np.diff(at, axis=1) * n / length
    return means


def _shot(watched: _Watched, kept: float) -> Shot:
    maps = np.array(watched.maps, np.float64)
    if len(maps) and maps.mean() >= _LEAST_MOVEMENT:
        profiles = _standing_out(maps, np.array(watched.times_sec), kept)
        # The square root keeps one quick gesture from outweighing a minute of speech.
        weights = profiles / np.sqrt(np.maximum(profiles.sum(axis=1, keepdims=True), 1e-9))
        return _framed(watched, weights, kept)
    if watched.colours is None:
        return centred(watched.start_sec)
    return _framed(watched, _saliency(watched.colours / watched.n_colours, watched.axis)[None], kept)


def _standing_out(maps: Profile, times: Profile, kept: float) -> Profile:
    """Profiles along the axis, of (samples, bands, bins), without bands that move all along it at once.

    A waveform or running text under a speaker moves more than the speaker and is everywhere: within a band, what is
    there all along, as wide as the cut sees it, is no reason to look anywhere.
    """
    smooth = _smoothed(maps.reshape(len(maps), -1), times, _SMOOTH_SEC).reshape(maps.shape)
    reach = max(round(_BINS * kept / 2), 1)
    padded = np.pad(np.cumsum(smooth, axis=2), ((0, 0), (0, 0), (1, 0)))
    starts = np.arange(_BINS - reach + 1)
    boxed = (padded[:, :, starts + reach] - padded[:, :, starts]) / reach
    everywhere = np.percentile(boxed, 20, axis=2, keepdims=True)
    share = np.maximum(1 - everywhere / np.maximum(boxed.mean(axis=2, keepdims=True), 1e-9), 0.0)
    profiles: Profile = (maps * share).sum(axis=1)
    return profiles


def _saliency(colours: NDArray[np.float64], axis: Axis) -> Profile:
    """How far each part is from the picture's mean colour; only what is well above the usual counts."""
    distance = np.sqrt(((colours - colours.mean(axis=(0, 1))) ** 2).sum(axis=2))
    profile: Profile = _map(np.maximum(distance - 2 * distance.mean(), 0.0), axis).sum(axis=0)
    return profile


def _framed(watched: _Watched, weights: Profile, kept: float) -> Shot:
    """Hold still where that keeps most of the movement; else follow."""
    places = np.linspace(kept / 2, 1 - kept / 2, 121)
    total = weights.sum(axis=0)
    held = _inside(total[None], places, kept)[0]
    share = float(held.max() / max(total.sum(), 1e-9))
    if share >= _HOLDS or len(weights) < 4:
        if (share - kept) / max(1 - kept, 1e-9) < _STANDS_OUT:
            return centred(watched.start_sec)
        return Shot(watched.start_sec, True, (watched.start_sec,), (_best(total, places, kept),))
    times = np.array(watched.times_sec)
    smooth = _smoothed(weights, times, _SMOOTH_SEC)
    caught = _inside(smooth, places, kept) / np.maximum(smooth.sum(axis=1, keepdims=True), 1e-9)
    path = _path(caught, places)
    kept_share = float(caught[np.arange(len(path)), path].mean())
    if (kept_share - kept) / max(1 - kept, 1e-9) < _STANDS_OUT:
        return centred(watched.start_sec)
    centres = _smoothed(places[path][:, None], times, _SMOOTH_SEC)[:, 0]
    if np.ptp(centres) < _STILL * kept:
        return Shot(watched.start_sec, True, (watched.start_sec,), (float(np.median(centres)),))
    return Shot(watched.start_sec, True, tuple(times.tolist()), tuple(centres.tolist()))


def _inside(weights: Profile, places: Profile, kept: float) -> Profile:
    """How much of each profile (rows) a cut keeps that is centred at each place: (samples, places).

    What lies at the middle of the cut counts somewhat more than what lies at its edges, so that the subject comes to
    the middle rather than anywhere inside.
    """
    middles = (np.arange(_BINS) + 0.5) / _BINS
    away = np.abs(middles[:, None] - places[None]) / (kept / 2)
    return weights @ np.where(away <= 1, 1 - 0.15 * away**2, 0.0)


def _best(total: Profile, places: Profile, kept: float) -> float:
    return float(places[int(np.argmax(_inside(total[None], places, kept)[0]))])


def _path(caught: Profile, places: Profile) -> NDArray[np.int64]:
    """The places, one a sample, that keep the most for the least movement (Viterbi)."""
    cost = _MOVE_COST * (places[:, None] - places[None]) ** 2
    best, back = caught[0], np.zeros(caught.shape, np.int64)
    for n in range(1, len(caught)):
        reached = best[None] - cost
        back[n] = np.argmax(reached, axis=1)
        best = caught[n] + np.take_along_axis(reached, back[n][:, None], axis=1)[:, 0]
    path = np.empty(len(caught), np.int64)
    path[-1] = int(np.argmax(best))
    for n in range(len(caught) - 1, 0, -1):
        path[n - 1] = back[n][path[n]]
    return path


def _smoothed(rows: Profile, times: Profile, width_sec: float) -> Profile:
    """Each row the Gaussian mean of those around it in time; the ends lean on what there is."""
    result = np.empty_like(rows)
    for n, time_sec in enumerate(times):
        near = np.abs(times - time_sec) <= 3 * width_sec
        share = np.exp(-0.5 * ((times[near] - time_sec) / width_sec) ** 2)
        result[n] = share @ rows[near] / share.sum()
    return result
