"""One model as a deployment uses it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Modality = Literal["video", "audio", "text", "speech"]
Precision = Literal["float32", "bfloat16"]
Origin = Literal["folder", "store", "hub", "package", "stand-in"]


@dataclass(frozen=True)
class ModelRef:
    """One model as this deployment uses it. ``title`` and ``revision`` are part of every embedding's identity.

    Attributes:
        origin: where the weights come from. ``hub`` includes the hub's local cache.
        files: locked SHA-256 by file name; ``""`` where no hash is known; empty for stand-ins.
        model_class: the class that loads it, such as ``transformers.VideoMAEModel``.
        precision: what a CPU computes it in. Weights are the same files in either.
    """

    modality: Modality
    name: str
    revision: str
    licence: str
    origin: Origin
    files: Mapping[str, str] = field(hash=False)
    model_class: str = ""
    precision: Precision = "float32"

    @property
    def title(self) -> str:
        """The name, and the precision where it is not the usual one: ``MCG-NJU/videomae-base:bfloat16``."""
        return self.name if self.precision == "float32" else f"{self.name}:{self.precision}"
