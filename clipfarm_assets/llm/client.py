"""Questions with structured answers, through the Responses API of OpenAI or any server that speaks it.

In: a versioned prompt, a question, pictures, and the pydantic model of the answer. Out: a ``Reply``, or an
``LlmFailure`` that says what went wrong and whether asking again can help. Nothing that a server does is raised, so
that no caller loses its own work to it.

The client retries what can pass (429 with its Retry-After, 408, 409, 5xx, broken connections); an answer that does not
fit the schema is asked for once more. https://platform.openai.com/docs/guides/structured-outputs
"""

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from clipfarm_assets.errors import ConfigurationError
from clipfarm_assets.llm.prompts import Prompt
from clipfarm_assets.measures import Measures
from clipfarm_assets.settings import Settings

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.responses import Response

T = TypeVar("T", bound=BaseModel)

_ASKED_AGAIN = 1
_NO_KEY = "none"  # servers without authentication want some key all the same


class Cause(StrEnum):
    """Why there is no answer."""

    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    TIMED_OUT = "timed_out"
    DENIED = "denied"
    REJECTED = "rejected"
    REFUSED = "refused"
    INCOMPLETE = "incomplete"
    INVALID_ANSWER = "invalid_answer"

    @property
    def can_pass(self) -> bool:
        """A later run may get an answer to the same question."""
        return self not in (Cause.REJECTED, Cause.REFUSED)


@dataclass(frozen=True)
class Usage:
    """What calls cost. ``cost_usd`` is None where the price of the model is not configured."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    seconds: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        known = self.cost_usd is not None and other.cost_usd is not None
        return Usage(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            (self.cost_usd or 0.0) + (other.cost_usd or 0.0) if known else None,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True)
class Reply(Generic[T]):
    """An answer that fits its schema."""

    answer: T
    usage: Usage


@dataclass(frozen=True)
class LlmFailure:
    """No answer. ``what`` is one sentence without secrets and without the question's text."""

    cause: Cause
    what: str
    usage: Usage = Usage()

    def __str__(self) -> str:
        return f"{self.cause}: {self.what}"


class Llm:
    """A model behind an API.

    Attributes:
        model: its name, as answers are signed with.
    """

    def __init__(
        self, client: "OpenAI", model: str, prices_usd: tuple[float, float] | None = None,
        measures: Measures | None = None,
    ) -> None:  # fmt: skip
        self.model = model
        self._measures = measures or Measures()
        self._client = client
        self._prices_usd = prices_usd

    def ask(
        self, prompt: Prompt, question: str, answer: type[T], pictures: Sequence[bytes] = ()
    ) -> Reply[T] | LlmFailure:
        """Asks for one answer.

        Args:
            prompt: the instructions; nothing from outside stands in them.
            question: what the model looks at; texts from outside are ``quoted``.
            answer: the shape of the answer; every field is required of the model.
            pictures: JPEGs.
        """
        usage = Usage()
        for left in range(_ASKED_AGAIN, -1, -1):
            result = self._ask_once(prompt, question, answer, pictures)
            outcome = result.cause.value if isinstance(result, LlmFailure) else "ok"
            self._measures.upstream("llm", outcome, result.usage.seconds)
            usage += result.usage
            again = isinstance(result, LlmFailure) and result.cause in (Cause.INVALID_ANSWER, Cause.INCOMPLETE)
            if not again or not left:
                break
        return replace(result, usage=usage)

    def _ask_once(
        self, prompt: Prompt, question: str, answer: type[T], pictures: Sequence[bytes]
    ) -> Reply[T] | LlmFailure:
        from openai import OpenAIError

        started = time.monotonic()
        content: list[Any] = [{"type": "input_text", "text": question}]
        content += [{"type": "input_image", "image_url": _data_url(picture), "detail": "low"} for picture in pictures]
        schema = {"type": "json_schema", "name": answer.__name__, "schema": _strict_schema(answer), "strict": True}
        try:
            response = self._client.responses.create(
                model=self.model, instructions=prompt.text, input=[{"role": "user", "content": content}],
                text={"format": schema}, store=False,
            )  # type: ignore[call-overload]  # fmt: skip
        except (OpenAIError, ValueError) as error:  # ValueError: a body that is no JSON, or not of the API's shape
            return LlmFailure(*cause_of(error), Usage(calls=1, cost_usd=None, seconds=time.monotonic() - started))
        return _read(response, answer, self._usage(response, time.monotonic() - started))

    def _usage(self, response: "Response", seconds: float) -> Usage:
        usage = getattr(response, "usage", None)
        given, made = getattr(usage, "input_tokens", None), getattr(usage, "output_tokens", None)
        if not isinstance(given, int) or not isinstance(made, int):
            return Usage(calls=1, cost_usd=None, seconds=seconds)
        cost = None if self._prices_usd is None else (given * self._prices_usd[0] + made * self._prices_usd[1]) / 1e6
        return Usage(1, given, made, cost, seconds)


def open_client(settings: Settings) -> "OpenAI":
    """The API's client, with the deployment's key, address, patience and tries."""
    from openai import OpenAI

    return OpenAI(
        api_key=(settings.openai_api_key.get_secret_value() if settings.openai_api_key else "") or _NO_KEY,
        base_url=settings.openai_base_url or None,
        timeout=settings.llm_timeout_sec,
        max_retries=settings.llm_retries,
    )


def open_llm(settings: Settings, measures: Measures | None = None) -> Llm | None:
    """The configured model; None where ``CLIPFARM_LLM_MODEL`` names none: a key alone sends nothing.

    Raises:
        ConfigurationError: a model is named and there is neither a key nor another address than OpenAI's.
    """
    if not settings.llm_model:
        return None
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
    if not key and not settings.openai_base_url:
        raise ConfigurationError(
            "CLIPFARM_LLM_MODEL is set, and there is no key.",
            hint="Set OPENAI_API_KEY, or OPENAI_BASE_URL of a server that needs none; or unset CLIPFARM_LLM_MODEL.",
        )
    return Llm(open_client(settings), settings.llm_model, settings.llm_prices_usd, measures)


def _read(response: "Response", answer: type[T], usage: Usage) -> Reply[T] | LlmFailure:
    parts = [part for item in getattr(response, "output", None) or [] for part in getattr(item, "content", None) or []]
    if refusals := [part.refusal for part in parts if part.type == "refusal"]:
        return LlmFailure(Cause.REFUSED, f"The model refused: {_short(refusals[0])}", usage)
    if response.status == "incomplete":
        why = getattr(response.incomplete_details, "reason", None) or "no reason given"
        return LlmFailure(Cause.INCOMPLETE, f"The answer breaks off ({why}).", usage)
    text = "".join(part.text for part in parts if part.type == "output_text" and isinstance(part.text, str))
    if response.status not in (None, "completed") or not text.strip():
        return LlmFailure(Cause.INVALID_ANSWER, f"There is no text in the answer (status {response.status}).", usage)
    try:
        return Reply(answer.model_validate_json(_unfenced(text)), usage)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the answer"
        return LlmFailure(Cause.INVALID_ANSWER, f"{place}: {first['msg']}.", usage)


def cause_of(error: Exception) -> tuple[Cause, str]:
    """What an error of the client means, and a sentence; the server's own text can hold the key, or what was asked."""
    import openai

    status = getattr(error, "status_code", None)
    known: list[tuple[type[Exception], Cause, str]] = [
        (openai.RateLimitError, Cause.RATE_LIMITED, "The API asks to wait (429)."),
        (openai.APITimeoutError, Cause.TIMED_OUT, "The API gave no answer in time."),
        (openai.AuthenticationError, Cause.DENIED, "The API refuses the key (401): check OPENAI_API_KEY."),
        (openai.PermissionDeniedError, Cause.DENIED, "The API refuses this key the model (403)."),
        (openai.NotFoundError, Cause.DENIED, "The API knows no such model or address (404): check the model's name."),
        (openai.BadRequestError, Cause.REJECTED, "The API rejects the question (400)."),
        (openai.UnprocessableEntityError, Cause.REJECTED, "The API rejects the question (422)."),
        (openai.APIStatusError, Cause.UNAVAILABLE, f"The API is in trouble ({status})."),
        (openai.APIConnectionError, Cause.UNAVAILABLE, "There is no connection to the API."),
    ]
    for kind, cause, what in known:
        if isinstance(error, kind):
            return cause, what
    return Cause.INVALID_ANSWER, f"The API's answer cannot be read ({type(error).__name__})."


def _strict_schema(answer: type[BaseModel]) -> dict[str, Any]:
    """The schema as strict structured output wants it: every object closed, every property required."""

    def close(node: Any) -> Any:
        if isinstance(node, list):
            return [close(each) for each in node]
        if not isinstance(node, dict):
            return node
        closed = {name: close(value) for name, value in node.items() if name not in ("default", "title")}
        if isinstance(node.get("properties"), dict):
            closed["properties"] = {name: close(value) for name, value in node["properties"].items()}
            closed |= {"additionalProperties": False, "required": list(node["properties"])}
        return closed

    schema: dict[str, Any] = close(answer.model_json_schema())
    return schema


def _unfenced(text: str) -> str:
    """Smaller models put their JSON between code fences."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text[3:-3].removeprefix("json").strip()
    return text


def _short(text: object) -> str:
    return str(text).strip()[:200]


def _data_url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
