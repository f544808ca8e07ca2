"""Speak lines with the espeak-ng library, in a process of its own.

``python -m clipfarm_assets.samples.espeak`` reads a JSON list of ``{voice, words_per_minute, pitch, text}`` and writes
a JSON object ``{version, rate, lines: [{pcm, words}]}``: ``pcm`` is base64 of 16-bit little-endian mono, ``words`` are
pairs (offset of the word's first character, sample where the synthesiser says it begins).

The library keeps state from one line to the next, so a fresh process for each video makes its sound depend on its own
lines only. Exit status 3: the library is not installed.
"""

import base64
import ctypes
import json
import sys
from typing import Any, Final

LIBRARY: Final = "libespeak-ng.so.1"
MISSING_STATUS: Final = 3
_SYNCHRONOUS: Final = 2
_DONT_EXIT: Final = 0x8000
_RATE, _PITCH = 1, 3
_WORD_EVENT: Final = 1
_UTF8: Final = 1


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h; positions count from 1, ``sample`` from the line's start."""

    _fields_ = [
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", _EventId),
    ]  # fmt: skip


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def _speak(library: ctypes.CDLL, line: dict[str, Any]) -> dict[str, Any]:
    library.espeak_SetVoiceByName(str(line["voice"]).encode())
    library.espeak_SetParameter(_RATE, int(line["words_per_minute"]), 0)
    library.espeak_SetParameter(_PITCH, int(line["pitch"]), 0)
    chunks: list[bytes] = []
    words: list[tuple[int, int]] = []

    def collect(samples: Any, count: int, events: Any) -> int:
        if count > 0:
            chunks.append(ctypes.string_at(samples, count * 2))
        index = 0
        while events[index].type != 0:
            if events[index].type == _WORD_EVENT and events[index].length > 0:
                words.append((events[index].text_position - 1, events[index].sample))
            index += 1
        return 0

    callback = _CALLBACK(collect)
    library.espeak_SetSynthCallback(callback)
    spoken = str(line["text"]).encode()
    library.espeak_Synth(spoken, len(spoken) + 1, 0, 1, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    return {"pcm": base64.b64encode(b"".join(chunks)).decode(), "words": words}


def main() -> int:
    """Speak what stdin asks for."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return MISSING_STATUS
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, None, _DONT_EXIT)
    if rate <= 0:
        return MISSING_STATUS
    library.espeak_Info.restype = ctypes.c_char_p
    version = library.espeak_Info(None).decode().split()[0]
    lines = [_speak(library, line) for line in json.load(sys.stdin)]
    json.dump({"version": version, "rate": rate, "lines": lines}, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
