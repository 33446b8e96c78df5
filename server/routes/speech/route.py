"""POST /v1/speech: takes a question as a recording or text, and returns the spoken answer while it is produced."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.http.answers import answer_one_turn, audio_headers
from server.http.dependencies import AdmittedDep, resolve_model
from server.http.turns import TurnRequest, TurnRunner
from server.http.uploads import Upload
from server.media.decode import Declared, check_speech
from server.media.decoding import Decode
from server.media.encode import open_writer
from server.routes.speech.answers import answer_sink
from server.routes.speech.options import SpeechOptions, negotiate, read_request
from server.routes.speech.schema import OPENAPI
from server.state.loading import ServedModel
from server.state.sessions import session_model
from streaming.stages import Pcm

router = APIRouter(prefix="/v1")


@router.post(
    "/speech", summary="Answer a spoken or typed question with speech", openapi_extra=OPENAPI, response_class=Response
)
async def speech(request: Request, state: AdmittedDep) -> Response:
    resolve_model(state, request.query_params.get("model"))  # before a long upload
    options, upload = await read_request(request, state.settings)
    received_s = time.monotonic()
    model = resolve_model(state, options.model)
    session = session_model(model)
    voice = session.voice(options.voice, "voice")
    session.check_question_language(options.question_language, "question_language")
    session.check_reply_language(options.reply_language, "reply_language")
    reply = negotiate(options, request.headers.get("accept"))
    pcm = None
    if upload.audio is not None:
        what = declared(upload, options)
        pcm = await state.decoding.run(model.max_question_s, decode_question, upload.audio, what, model)
    runner = TurnRunner(state, model, received_s)
    writer = open_writer(reply.audio, model.stages.decoder.sample_rate, whole=reply.is_whole)
    sink = answer_sink(reply, writer, runner, decode_s=time.monotonic() - received_s)
    turn = TurnRequest(options.turn_options(voice), pcm, options.text)
    return answer_one_turn(runner, turn, sink, audio_headers(reply.audio, writer))


def declared(upload: Upload, options: SpeechOptions) -> Declared:
    """What the sender says the recording is."""
    return Declared(upload.media_type, options.input_format, options.sample_rate, options.channels)


def decode_question(decode: Decode, data: bytes, what: Declared, model: ServedModel) -> Pcm:
    """The recording at 16 kHz, with speech in it. Raises InvalidRequest. Slow: call it in a thread."""
    pcm = decode(data, what, max_s=model.max_question_s)
    check_speech(pcm, model.stages.voice_activity())
    return pcm
