"""Failure, confusion and abandonment of a described segment, where no LLM says: zero-shot, by prototype sentences.

Each flag has pairs of sentences about many subjects, of which one tells of it and the other of the same subject going
well. A description's score is its average similarity to the sentences that tell of the flag less that to the others:
the subjects cancel out, the difference stays. No word decides anything; and since a sentence model hears little of a
"no", a description that is nearer to sentences such as "There are no errors." is not a failure whatever its score. So
"left sidebar", "debug panel", "$500", "Issues tab", "closed the modal" or "no errors" are none.

``blocking`` is told from ``non_blocking`` by further pairs, among failures only. Sentences and thresholds were chosen
on one half of the labelled segments (``python -m clipfarm_assets_tests.segments.choose``); ``python -m benchmarks
clusters`` states precision and recall on the other half. The flags are a makeshift: an LLM's answer replaces them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clipfarm_assets.segments.model import Failure

Floats = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Floats]
"""From sentences to rows of length 1, (n, dim): ``TextEncoder.embed_sentences``."""


@dataclass(frozen=True)
class Flags:
    """What a description tells of."""

    failure: Failure
    confusion: bool
    abandonment: bool


@dataclass(frozen=True)
class Prototypes:
    """Sentences of one flag in pairs (tells of it, does not), and the score above which it is set, strictly."""

    pairs: tuple[tuple[str, str], ...]
    threshold: float


FAILURE = Prototypes(
    (
        ("An error message appears and it does not work.", "It works at the first try."),
        ("The page fails to load.", "The page opens right away."),
        ("Saving fails and the data are lost.", "The changes are saved."),
        ("The payment is rejected.", "The payment goes through."),
        ("The request ends in a server error.", "The request is answered with the list."),
        ("The app crashes.", "The app is used to look around."),
        ("The file cannot be opened.", "The file is opened and read."),
        ("Signing in is refused.", "The user signs in and goes on."),
        ("The button does nothing when pressed.", "The button is pressed and the next step is shown."),
        ("The message is never delivered.", "The message is sent and answered."),
        ("The result is wrong and has to be corrected by hand.", "The result is right."),
        ("The picture comes out broken.", "The picture is shown in full."),
        ("The settings are reset by themselves.", "The settings are changed and kept."),
        ("The connection breaks off.", "The call goes well and everybody talks."),
        ("Nothing is found although it exists.", "The search shows what was looked for."),
        ("The input is not accepted.", "The form is filled in and sent."),
        ("The device is not recognised.", "The device is connected and in use."),
        ("The booking goes wrong.", "The booking is confirmed."),
        ("A bug in the software prevents the task.", "Highlights of a game are shown with cheers."),
        ("The system refuses and reports that it failed.", "Guests talk in a show about their work."),
        ("The download does not start and an error is shown.", "A scene from everyday life, cooking or nature."),
        ("Something is missing that should be there.", "The user arranges things on the page as they like."),
    ),
    0.002,
)

BLOCKING = Prototypes(
    (
        ("It never works, whatever is tried.", "It fails at first and then works on a second try."),
        ("The task cannot be completed.", "The task is completed in the end, in spite of a problem."),
        ("The user is stuck and cannot go on.", "The user works around the problem and goes on."),
        ("Everything is lost.", "Only a small part has to be done again by hand."),
        ("It is refused every time.", "It is accepted after another attempt."),
        ("The page stays blank.", "The page is slow but loads at last."),
        ("The error comes again and again.", "The error disappears after a reload."),
        ("The work fails entirely.", "The work is done, with a flaw in the result."),
        ("The service does not respond at all.", "The service shows wrong values or the wrong order."),
    ),
    -0.031,
)

CONFUSION = Prototypes(
    (
        ("The user is confused and does not know what to do.", "The user knows what to do and does it."),
        ("The result is wrong and she wonders why.", "The result is wrong and an error is shown."),
        ("He is unsure which option is right and hesitates.", "He chooses the option at once."),
        ("It is unclear where to find the setting; the user looks everywhere.", "The setting is found right away."),
        ("The person goes back and forth between pages looking for it.", "The person opens the page once."),
        (
            "It fails without saying why, and the user puzzles over it, trying one thing after another.",
            "It fails with an error message each time.",
        ),
        ("She cannot tell whether it worked or not.", "She sees that it failed."),
        ("He compares both, not understanding the difference.", "He repeats the attempt and it is refused."),
        ("They search the menus and open every section, lost.", "They use the menu and are done."),
        ("The person is puzzled by the meaning of the words.", "The words are short and plain."),
        ("The user does not understand what happened and checks again and again.", "The user gives up and leaves."),
        ("Is it broken or still working? The user is not sure.", "It is broken."),
        ("She reads the text several times, unsure what it means.", "She reads the text and signs."),
        ("It is hard to find and hard to understand.", "It does not work."),
        ("He looks lost and asks what to do next.", "He tells a story about his work."),
        ("They do not know which one is correct.", "They have to correct it by hand."),
    ),
    0.022,
)

ABANDONMENT = Prototypes(
    (
        ("The app fails again and the user gives up and leaves.", "The app fails again and the user tries once more."),
        ("After the third error she closes the page and quits.", "After the third error the message is still shown."),
        ("He abandons the order.", "He completes the order."),
        ("The form is rejected; the visitor leaves the site.", "The form is rejected; the visitor corrects it."),
        (
            "It takes too long, so the person gives up waiting and goes away.",
            "It takes too long, but the person waits until it is done.",
        ),
        ("They stop trying and leave it for another day.", "They keep trying until it works."),
        ("She cannot find it and closes the tab.", "She cannot find it and keeps searching."),
        ("The customer walks away without finishing.", "The customer finishes and is happy."),
        ("Annoyed, he drops the work and leaves.", "He reads the message and is puzzled."),
        ("The download fails twice and the person quits in annoyance.", "The download fails twice, then it succeeds."),
        ("The user hangs up and abandons the attempt.", "The user is stuck, with no way to go on."),
        ("She sighs, gives up, and leaves the page.", "She looks around the page and learns how it works."),
        ("The task is abandoned half done.", "The task is done."),
        ("He decides not to use it after all and leaves.", "He decides to use it every day."),
    ),
    0.045,
)


ALL: Mapping[str, Prototypes] = {
    "failure": FAILURE,
    "blocking": BLOCKING,
    "confusion": CONFUSION,
    "abandonment": ABANDONMENT,
}

NO_FAILURE = (
    "The work finishes with no errors.",
    "It completes without any errors or problems.",
    "There are no errors.",
    "No issues were found, everything is fine.",
    "The user works with the list of issues and bug reports.",
    "A tab with issues is opened.",
    "Developer tools and a debug panel are open beside the page.",
    "The user closed the dialog when done.",
    "The test passes and no error is shown.",
    "An issue tracker with bug tickets is open.",
)
"""What speaks of errors where there are none: to a sentence model it is close to failures."""
_NEAREST = 2  # sentences of either kind that are compared
_MARGIN = 0.05  # by which it must be nearer to these; chosen like the thresholds


class FlagReader:
    """Reads flags from embeddings; the prototypes are embedded once."""

    def __init__(self, encode: Encode) -> None:
        self._axes = {name: _axis(prototypes, encode) for name, prototypes in ALL.items()}
        self._failure, self._no_failure = encode([tells for tells, _ in FAILURE.pairs]), encode(NO_FAILURE)

    def read(self, unit: Floats) -> list[Flags]:
        """The flags of descriptions by their vectors: rows of length 1, (n, dim), of the encoder given.

        A vector of zeros (an empty description) has no flags.
        """
        told = {name: unit @ self._axes[name] > prototypes.threshold for name, prototypes in ALL.items()}
        there = unit.any(axis=1)
        failed = told["failure"] & there
        failed &= _nearness(unit, self._no_failure) - _nearness(unit, self._failure) <= _MARGIN
        confused, gone = told["confusion"] & there, told["abandonment"] & there
        return [
            Flags(_failure(bool(failed[row]), bool(told["blocking"][row])), bool(confused[row]), bool(gone[row]))
            for row in range(len(unit))
        ]


def scores(prototypes: Prototypes, unit: Floats, encode: Encode) -> Floats:
    """How much more like the sentences that tell of the flag than like the others each row is, (n,)."""
    return np.asarray(unit @ _axis(prototypes, encode))


def _axis(prototypes: Prototypes, encode: Encode) -> Floats:
    tells, does_not = zip(*prototypes.pairs, strict=True)
    return np.asarray(encode(tells).mean(axis=0) - encode(does_not).mean(axis=0))


def _nearness(unit: Floats, sentences: Floats) -> Floats:
    """Average similarity to the nearest few of the sentences, (n,)."""
    return np.asarray(np.sort(unit @ sentences.T, axis=1)[:, -_NEAREST:].mean(axis=1))


def _failure(failed: bool, blocked: bool) -> Failure:
    if not failed:
        return Failure.NONE
    return Failure.BLOCKING if blocked else Failure.NON_BLOCKING
