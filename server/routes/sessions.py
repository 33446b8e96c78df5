"""`GET /v1/sessions`: what is under way, for who operates the server."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from server.http import openapi
from server.http.dependencies import AuthorisedDep

router = APIRouter(prefix="/v1")

_SESSION = {
    "object": "session",
    "id": "sess_5f",
    "key": "anna",
    "transport": "realtime",
    "state": "playing",
    "language": "auto",
    "buffered_s": 1.24,
    "age_s": 93.0,
    "turns": 4,
}
_LIST = openapi.route(answers={"application/json": {"object": "list", "data": [_SESSION]}})


@router.get("/sessions", summary="List the sessions and requests under way", openapi_extra=_LIST)
async def sessions(state: AuthorisedDep) -> dict[str, Any]:
    """Those of the key that asks. `CSLM_API_KEY` gets all, and so does everybody where there are no keys."""
    rows = state.live.rows(None if state.keys.sees_all(state.account) else state.account)
    return {"object": "list", "data": [{"object": "session", **asdict(row)} for row in rows]}
