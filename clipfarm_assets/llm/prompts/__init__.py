"""Prompts, one file each: ``<name>.v<number>.md``. A changed text is a new file, so that an answer names what asked."""

from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Prompt:
    """Instructions for a model.

    Attributes:
        version: file name without its ending, such as ``task_label.v1``; stands beside every answer.
    """

    version: str
    text: str


def load_prompt(version: str) -> Prompt:
    """The prompt of a file in this folder. Raises FileNotFoundError where there is none."""
    return Prompt(version, (resources.files(__name__) / f"{version}.md").read_text(encoding="utf-8"))


def quoted(name: str, text: str) -> str:
    """Text from outside as data between marks that it cannot close: what stands in it is no instruction."""
    return f"<{name}>\n{text.replace('<', '‹').replace('>', '›')}\n</{name}>"
