"""POST /v1/speech: a question as a recording or text in, the spoken answer out while it is produced."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response
from starlette.types import Send

from server.http.dependencies import Gateway, admitted
from server.http.turns import AnswerResponse, Ask, one_turn
from server.http.uploads import Upload
from server.media.decode import Declared, check_speech, decode, identify
from server.routes.models import the_model
from server.routes.speech.answers import Answer, Outgoing, open_answer
from server.routes.speech.options import SpeechOptions, negotiate, read_request
from server.routes.speech.schema import OPENAPI
from server.state.loading import ServedModel
from server.state.sessions import session_model
from streaming.stages import Pcm

router = APIRouter(prefix="/v1")


@router.post(
    "/speech", summary="Answer a spoken or typed question by speech", openapi_extra=OPENAPI, response_class=Response
)
async def speech(request: Request, gateway: Annotated[Gateway, Depends(admitted)]) -> Response:
    the_model(gateway, request.query_params.get("model"))
    options, upload = await read_request(request, gateway.settings)
    received_s = time.monotonic()
    model = the_model(gateway, options.model)
    asked = session_model(model)
    voice = asked.voice(options.voice, "voice")
    asked.check_reply_language(options.reply_language, "reply_language")
    reply = negotiate(options, request.headers.get("accept"))
    pcm = None
    if upload.audio is not None:
        pcm = await asyncio.to_thread(hear, upload.audio, declared(upload, options), model)

    def opened(send: Send, turn_id: str) -> tuple[Outgoing, Answer]:
        return open_answer(
            reply,
            send,
            turn_id=turn_id,
            model=model.name,
            sample_rate=model.stages.decoder.sample_rate,
            decode_s=time.monotonic() - received_s,
            timeout_s=gateway.settings.write_timeout_s,
        )

    work = one_turn(Ask(options.turn_options(voice), pcm, options.text))
    return AnswerResponse(gateway, model, received_s=received_s, open_answer=opened, work=work)


def declared(upload: Upload, options: SpeechOptions) -> Declared:
    """What the sender says the recording is."""
    return Declared(upload.media_type, options.input_format, options.sample_rate, options.channels)


def hear(data: bytes, what: Declared, model: ServedModel) -> Pcm:
    """The recording at 16 kHz, with speech in it. Raises InvalidRequest. Slow: call it in a thread."""
    pcm = decode(data, identify(data, what), max_s=model.max_question_s)
    check_speech(pcm, model.stages.voice_activity())
    return pcm
