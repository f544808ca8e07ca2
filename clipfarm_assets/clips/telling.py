"""How much a sentence tells, by its vector: nearer to a story, a fact or an advice than to what fills the time.

Zero-shot, by pairs of prototype sentences, as the flags of segments are read. A model of a language that the encoder
does not know is of no use here.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from clipfarm_assets.segments.flags import Encode, Floats

PAIRS = (
    ("Something surprising happened that nobody had expected.", "We will talk about this later."),
    (
        "A person tells a moving story from their own life.",
        "The speakers greet each other and go through the agenda.",
    ),
    ("A striking fact that most people do not know.", "Something that has been said before is repeated."),
    ("Concrete advice that one can use at once.", "It depends, and it is difficult to say in general."),
    ("A funny or shocking turn at the end.", "One thing follows the other as usual."),
    ("Somebody risks everything, and wins or loses.", "Administrative details, forms, dates and rules."),
    (
        "Great excitement at the decisive moment.",
        "A technical problem with the sound or the screen is sorted out.",
    ),
    ("A strong opinion against what everybody thinks.", "Thanks to our sponsor, the link is in the description."),
)
LEAST, MOST = -0.10, 0.04
"""Of spans of half a minute: what fills the time lies below, what is told again above."""


def telling(vectors: Floats, encode: Encode) -> npt.NDArray[np.float64]:
    """How much each sentence tells, (n,), around 0; ``vectors``: rows of length 1 by the same encoder."""
    return np.asarray(vectors @ _axis(encode), np.float64)


@lru_cache(maxsize=2)
def _axis(encode: Encode) -> Floats:
    """Once an encoder: the prototypes take as long as a minute of talk."""
    tells, fills = zip(*PAIRS, strict=True)
    return np.asarray(encode(tells).mean(axis=0) - encode(fills).mean(axis=0))
