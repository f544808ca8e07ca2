"""The videos that ship with the project, and the script that made them.

``make_samples(folder)`` draws, speaks and encodes them: a dozen videos on different subjects, one of them silent, one
without a transcript, and a file that cannot be decoded. Every cut and every word is known, see ``truth.json``. In the
metadata, ``url`` and ``transcript_path`` are relative to the CSV's folder, and ``tags`` are separated by ``;``.

Making needs espeak-ng (``apt-get install espeak-ng``); using the shipped files needs nothing. Made twice on one machine
with the same library versions, all files have the same bytes.
"""

from clipfarm_assets.samples.make import make_samples

__all__ = ["make_samples"]
