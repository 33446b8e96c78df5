"""Reads request bodies: a form with a file, JSON, or the recording itself. The limit is enforced while a body arrives."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Never, cast
from urllib.parse import parse_qsl

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from server.errors import UploadTimeout
from server.media.decode import sniff
from server.parsing import parsed
from server.settings import Settings
from streaming.base64_text import bytes_of
from streaming.errors import InvalidRequest, TooLarge
from streaming.json_limits import check_text

MAX_FIELDS = 32
MAX_FIELD_BYTES = 64 * 1024
_GRACE_S = 10.0
"""Before the rate of a body counts."""
_FILE_FIELDS = ("file", "audio")


Arrived = Callable[[int], None]
"""Hears how many bytes of a body have come."""


@dataclass(slots=True)
class Upload:
    """A body read: its fields, and the recording with its media type if there is one."""

    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    audio: bytes | None = None
    media_type: str = ""


async def read_body(request: Request, settings: Settings) -> Upload:
    """Fields and recording of a request's body, whatever its form.

    Raises TooLarge, UploadTimeout, or InvalidRequest: `body_unreadable`, `duplicate_parameter`, `unknown_parameter` (a file of
    another name), `invalid_audio`, `unsupported_format`.
    """
    async with _in_time(settings) as arrived:
        return await _read_body(request, settings.max_body_bytes, arrived)


async def read_form(request: Request, settings: Settings, most_bytes: int) -> dict[str, Any]:
    """Fields of a form of up to `most_bytes`; parts with a file name are taken as text too. Raises as `read_body` does."""
    async with _in_time(settings) as arrived:
        form = await _parsed(request, min(settings.max_body_bytes, most_bytes), arrived)
        try:
            items = [
                (key, value if isinstance(value, str) else await _text(value)) for key, value in form.multi_items()
            ]
        finally:
            await form.close()
    return _nested(items)


async def read_whole(request: Request, settings: Settings, most_bytes: int | None = None) -> bytes:
    """The body as it is, up to `most_bytes` where a route takes less than the server. Raises TooLarge, UploadTimeout."""
    async with _in_time(settings) as arrived:
        return await _whole(request, min(settings.max_body_bytes, most_bytes or settings.max_body_bytes), arrived)


async def read_json(request: Request, settings: Settings) -> dict[str, Any]:
    """The JSON object that is the body. Raises TooLarge, UploadTimeout, InvalidRequest (`body_unreadable` and the like)."""
    return await parsed(_object, await read_whole(request, settings))


@asynccontextmanager
async def _in_time(settings: Settings) -> AsyncGenerator[Arrived]:
    """Raises UploadTimeout for a body that takes too long, or comes too slowly: it holds a slot meanwhile."""
    began_s, rate = asyncio.get_running_loop().time(), settings.min_upload_bytes_s

    def due_s(size: int) -> float:
        return began_s + min(settings.max_upload_s, _GRACE_S + size / rate if rate else math.inf)

    try:
        async with asyncio.timeout_at(due_s(0)) as timeout:
            yield lambda size: timeout.reschedule(due_s(size))
    except TimeoutError:
        raise UploadTimeout(
            f"the body did not arrive in time; accepted: {settings.max_upload_s:g} s, and {rate} bytes a second or more"
        ) from None


async def _read_body(request: Request, limit: int, arrived: Arrived) -> Upload:
    media_type = request.headers.get("content-type", "")
    kind = media_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _multipart(request, limit, arrived)
    body = await _whole(request, limit, arrived)
    if kind == "application/json":
        return await parsed(_json, body)
    if kind == "application/x-www-form-urlencoded" and sniff(body) is None:
        return Upload(fields=_form(body))
    if not body and "text" in request.query_params:
        return Upload()
    return Upload(audio=body, media_type=media_type)


async def _whole(request: Request, limit: int, arrived: Arrived) -> bytes:
    return b"".join([chunk async for chunk in _counted(request, limit, arrived)])


async def _counted(request: Request, limit: int, arrived: Arrived) -> AsyncGenerator[bytes]:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        arrived(size)
        yield chunk


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes")


async def _multipart(request: Request, limit: int, arrived: Arrived) -> Upload:
    form = await _parsed(request, limit, arrived, max_files=1)
    upload, fields = Upload(), list[tuple[str, Any]]()
    try:
        for key, value in form.multi_items():
            if key in _FILE_FIELDS:
                if not isinstance(value, UploadFile):
                    raise InvalidRequest(f"{key} must be a file part, with a filename", param=key)
                upload.audio, upload.media_type = await value.read(), value.content_type or ""
            elif not isinstance(value, UploadFile):
                fields.append((key, value))
            else:
                raise InvalidRequest(
                    f"unknown file {key[:60]!r}; send `file`", code="unknown_parameter", param=key[:60]
                )
    finally:
        await form.close()
    upload.fields = _nested(fields)
    return upload


async def _parsed(request: Request, limit: int, arrived: Arrived, max_files: int = 1000) -> FormData:
    parser = MultiPartParser(
        request.headers,
        _counted(request, limit, arrived),
        max_files=max_files,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    parser.spool_max_size = limit + 1  # no temporary files: their directory may be full, and the body is bounded
    try:
        return await parser.parse()
    except MultiPartException as failure:
        raise InvalidRequest(f"the form cannot be read: {failure.message}", code="body_unreadable") from None


async def _text(part: UploadFile) -> str:
    return (await part.read(MAX_FIELD_BYTES)).decode("utf-8", "replace")


def _form(body: bytes) -> dict[str, Any]:
    try:
        return once(
            parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=MAX_FIELDS)
        )
    except ValueError:
        raise InvalidRequest("the form cannot be read", code="body_unreadable") from None


def _object(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode(json.detect_encoding(body))
        check_text(text)
        fields = json.loads(text, object_pairs_hook=once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise InvalidRequest("the body is not JSON", code="body_unreadable") from None
    if not isinstance(fields, dict):
        raise InvalidRequest("the body is not a JSON object", code="body_unreadable")
    if _ESCAPED_SURROGATE.search(text):
        _check_characters(fields)
    return cast(dict[str, Any], fields)


def _no_number(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _check_characters(document: object) -> None:
    """Raises InvalidRequest for half a surrogate pair in any text: JSON can hold it, but it is no character."""
    waiting: list[tuple[str, object]] = [("", document)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(place, key) for key in value]
            waiting += [(f"{place}.{key}".lstrip("."), member) for key, member in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{place}.{at}", element) for at, element in enumerate(value)]
        elif isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise InvalidRequest(f"{place[:200]}: half of a surrogate pair is no text", param=place[:200]) from None


def _json(body: bytes) -> Upload:
    upload = Upload(fields=_object(body))
    encoded = upload.fields.pop("audio", None)
    if encoded is not None:
        try:
            upload.audio = bytes_of(encoded)
        except (TypeError, ValueError):
            raise InvalidRequest("audio is not base64", code="invalid_audio", param="audio") from None
    return upload


def once(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The items as a mapping. Raises InvalidRequest (`duplicate_parameter`) for a key that comes twice."""
    fields: dict[str, Any] = {}
    for key, value in items:
        if key in fields:
            raise InvalidRequest(f"{key[:60]} is given twice", code="duplicate_parameter", param=key[:60])
        fields[key] = value
    return fields


def _nested(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Form fields as OpenAI's clients write them: `name[]` is one of a list, `name[key]` a member of an object.

    Raises InvalidRequest (`duplicate_parameter`) for what is given twice, or as both.
    """
    plain = list[tuple[str, Any]]()
    lists, objects = dict[str, list[Any]](), dict[str, list[tuple[str, Any]]]()
    for key, value in items:
        name, bracket, member = key.removesuffix("]").partition("[")
        if not bracket:
            plain.append((key, value))
        elif member:
            objects.setdefault(name, []).append((member, value))
        else:
            lists.setdefault(name, []).append(value)
    for name in lists.keys() & objects.keys():
        raise InvalidRequest(
            f"{name[:60]} is given both as a list, `[]`, and as an object, `[key]`",
            code="duplicate_parameter",
            param=name[:60],
        )
    return once([*plain, *lists.items(), *((name, once(members)) for name, members in objects.items())])
