"""One model as a deployment uses it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Modality = Literal["video", "audio", "text", "speech"]
Origin = Literal["folder", "store", "hub", "package", "stand-in"]


@dataclass(frozen=True)
class ModelRef:
    """One model as this deployment uses it. ``name`` and ``revision`` are part of every embedding's identity.

    Attributes:
        origin: where the weights come from. ``hub`` includes the hub's local cache.
        files: locked SHA-256 by file name; ``""`` where no hash is known; empty for stand-ins.
        model_class: the class that loads it, such as ``transformers.VideoMAEModel``.
    """

    modality: Modality
    name: str
    revision: str
    licence: str
    origin: Origin
    files: Mapping[str, str] = field(hash=False)
    model_class: str = ""
