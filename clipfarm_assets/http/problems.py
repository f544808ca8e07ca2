"""Errors over HTTP as problem details (RFC 9457), each naming what to do and, where there is one, the field."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from clipfarm_assets.errors import (
    ClipError,
    ClipfarmError,
    ClipMissing,
    DatabaseChanged,
    DatabaseUnavailable,
    IndexBusy,
    IndexUnavailable,
    QueryRefused,
    StoreUnavailable,
)

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_SEC = 5
_SHOWN_INPUT = 200
_FIELDS = frozenset({"size", "offset", "mode", "sort", "kind", "min_votes"})  # as a refused query names them


class FieldProblem(BaseModel):
    """What is wrong with one field of the request."""

    field: str = Field(examples=["clip_length_preset"])
    message: str = Field(examples=["Input should be 'auto_0_60', '0_30', …"])


class Problem(BaseModel):
    """RFC 9457, with the fields at fault."""

    type: str = "about:blank"
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no video 'abc'."])
    errors: list[FieldProblem] = []


PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "description": HTTPStatus(code).phrase, "content": {MEDIA_TYPE: {}}}
    for code in (401, 404, 409, 422, 503)
}


class Refused(HTTPException):
    """An answer other than success, in words for the caller."""

    def __init__(
        self, status: int, detail: str, field: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, headers)
        self.errors = [FieldProblem(field=field, message=detail)] if field else []


def answer_with_problems(app: FastAPI) -> None:
    """Makes every error of the app a problem."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ClipfarmError, _failed)


def problem(
    status: int, detail: str, errors: list[FieldProblem] | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """The answer of one problem."""
    content = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors or [])
    return JSONResponse(jsonable_encoder(content), status, headers=headers, media_type=MEDIA_TYPE)


def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    errors = error.errors if isinstance(error, Refused) else None
    return problem(error.status_code, error.detail, errors, dict(error.headers or {}))


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [FieldProblem(field=_field(each["loc"]), message=each["msg"][:_SHOWN_INPUT]) for each in error.errors()]
    return problem(422, f"Wrong: {', '.join(dict.fromkeys(each.field for each in errors))}.", errors)


def _failed(_: Request, error: Exception) -> JSONResponse:
    """The platform's own trouble; the hint is for whoever runs it, and its log has the rest."""
    assert isinstance(error, ClipfarmError)
    if isinstance(error, ClipMissing):
        return problem(404, str(error))
    if isinstance(error, (ClipError, DatabaseChanged)):
        return problem(409, str(error))
    if isinstance(error, QueryRefused):
        field = error.what.split(" ", 1)[0]
        return problem(422, str(error), [FieldProblem(field=field if field in _FIELDS else "q", message=error.what)])
    if isinstance(error, (DatabaseUnavailable, StoreUnavailable, IndexBusy, IndexUnavailable)):
        return problem(503, str(error), headers={"Retry-After": str(_RETRY_AFTER_SEC)})
    return problem(503, str(error))


def _field(location: tuple[Any, ...]) -> str:
    """``("body", "processing_timeframe", "end")`` is ``processing_timeframe.end``; a body that is none is ``body``."""
    return ".".join(str(part) for part in location[1:]) or str(location[0])
