# ruff: noqa: T201 - a command, which prints
"""``python -m clipfarm_assets_tests.segments.choose``: thresholds of the flags, from one half of the labelled set.

For each flag the score with the best F1 on the half ``choose``; what the threshold in use reaches there is beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clipfarm_assets.segments.flags import ALL, FlagReader, scores
from clipfarm_assets.segments.model import Failure
from clipfarm_assets_tests.tasks.labelled_set import Labelled, labelled, packaged_encoder

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Agreement:
    """Precision, recall and their harmonic mean of one flag."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        return 2 * self.precision * self.recall / max(1e-9, self.precision + self.recall)

    @classmethod
    def of(cls, true: Bools, told: Bools) -> "Agreement":
        both = int((true & told).sum())
        return cls(both / max(1, int(told.sum())), both / max(1, int(true.sum())))


def truth(data: Labelled) -> Mapping[str, Bools]:
    segments = data.segments
    return {
        "failure": np.array([segment.failure is not Failure.NONE for segment in segments]),
        "blocking": np.array([segment.failure is Failure.BLOCKING for segment in segments]),
        "confusion": np.array([segment.confusion for segment in segments]),
        "abandonment": np.array([segment.abandonment for segment in segments]),
    }


def agreement(data: Labelled, reader: FlagReader) -> Mapping[str, Agreement]:
    """Of each flag as a user gets it: a segment is blocking only if it is told to be a failure at all."""
    flags = reader.read(data.vectors)
    told = {
        "failure": np.array([flag.failure is not Failure.NONE for flag in flags]),
        "blocking": np.array([flag.failure is Failure.BLOCKING for flag in flags]),
        "confusion": np.array([flag.confusion for flag in flags]),
        "abandonment": np.array([flag.abandonment for flag in flags]),
    }
    return {name: Agreement.of(true, told[name]) for name, true in truth(data).items()}


def main() -> None:
    encode, half = packaged_encoder(), labelled().half("choose")
    true = truth(half)
    for name, prototypes in ALL.items():
        judged = true["failure"] if name == "blocking" else np.ones(len(half.segments), np.bool_)
        score = scores(prototypes, half.vectors, encode)[judged]
        by_threshold = {float(at): Agreement.of(true[name][judged], score > at).f1 for at in np.unique(score)}
        best = max(by_threshold, key=lambda at: by_threshold[at])
        used = Agreement.of(true[name][judged], score > prototypes.threshold).f1
        print(
            f"{name:12} best {best:+.3f} F1 {by_threshold[best]:.2f}   in use {prototypes.threshold:+.3f} F1 {used:.2f}"
        )


if __name__ == "__main__":
    main()
