"""Flags by comparison with prototype sentences, with the packaged model."""

import numpy as np
import pytest

from clipfarm_assets.segments.flags import FlagReader
from clipfarm_assets.segments.model import Failure
from clipfarm_assets_tests.segments.choose import agreement
from clipfarm_assets_tests.tasks.labelled_set import labelled, packaged_encoder


@pytest.fixture(scope="module")
def reader() -> FlagReader:
    return FlagReader(packaged_encoder())


@pytest.mark.parametrize(
    "harmless",
    [
        "The user opens the left sidebar and picks a project.",
        "A debug panel is open beside the canvas while the user draws.",
        "Somebody wins $500 in a raffle and hugs the presenter.",
        "She pays $500 and the order is confirmed.",
        "The user opens the Issues tab and labels new tickets.",
        "The user reads the release notes with interest and closed the modal when done.",
        "The import finishes with no errors.",
        "The deployment goes through, no errors are shown.",
        *("left sidebar", "debug panel", "$500", "Issues tab", "closed the modal", "no errors"),
    ],
)
def test_words_that_only_sound_like_failure_are_none(reader: FlagReader, harmless: str) -> None:
    assert reader.read(packaged_encoder()([harmless]))[0].failure is Failure.NONE


@pytest.mark.parametrize(
    "failing",
    [
        "Importing contacts stops with an error every time and nothing is imported.",
        "The app crashes as soon as the camera is opened.",
        "Whatever is pressed, the form is never sent.",
    ],
)
def test_failures_that_were_never_seen_before_are_failures(reader: FlagReader, failing: str) -> None:
    assert reader.read(packaged_encoder()([failing]))[0].failure is Failure.BLOCKING


def test_giving_up_is_abandonment_and_wondering_is_confusion(reader: FlagReader) -> None:
    gave_up, wonders = reader.read(
        packaged_encoder()(
            [
                "The visitor gives up on the booking and leaves the site.",
                "He wonders what the two columns mean, unsure.",
            ]
        )
    )
    assert gave_up.abandonment
    assert wonders.confusion and not wonders.abandonment


def test_an_empty_description_has_no_flags(reader: FlagReader) -> None:
    empty = reader.read(packaged_encoder()([" "]))[0]
    assert (empty.failure, empty.confusion, empty.abandonment) == (Failure.NONE, False, False)
    assert reader.read(np.zeros((0, 384), np.float32)) == []


def test_on_groups_that_no_threshold_was_chosen_on_failures_are_told_as_documented(reader: FlagReader) -> None:
    told = agreement(labelled().half("report"), reader)
    assert told["failure"].precision >= 0.8
    assert told["failure"].recall >= 0.8
    assert told["abandonment"].recall >= 0.7
