import threading

from server.state.sessions import decoded
from streaming.audio import WireFormat
from streaming.realtime.ga import Ga
from streaming.realtime.messages import ClientMessage


async def test_only_a_large_message_is_read_in_a_thread() -> None:
    class Noting(Ga):
        def decode(self, message: str | bytes, audio: WireFormat) -> ClientMessage:
            threads.append(threading.current_thread())
            return ClientMessage()

    threads: list[threading.Thread] = []
    for size in (100, 100_000):
        await decoded(Noting(), "x" * size, WireFormat())
    assert threads[0] is threading.current_thread()
    assert threads[1] is not threading.current_thread()
