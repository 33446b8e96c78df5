"""What is large is parsed on one thread, whoever sent it."""

from __future__ import annotations

import asyncio
import threading

from server.parsing import parsed


async def test_large_messages_are_parsed_one_after_the_other() -> None:
    under_way, most, threads = 0, 0, set[str]()

    def parse(data: bytes, add: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        threads.add(threading.current_thread().name)
        total = sum(data) + add
        under_way -= 1
        return total

    assert await parsed(parse, b"\1" * 10, 1) == 11
    assert threads == {threading.current_thread().name}
    threads.clear()
    assert await asyncio.gather(*(parsed(parse, b"\1" * 100_000, add) for add in range(8))) == list(
        range(100_000, 100_008)
    )
    assert (most, len(threads)) == (1, 1) and threads != {threading.current_thread().name}
