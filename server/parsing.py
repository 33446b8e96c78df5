"""What peers send is parsed on the event loop where it is small, and on one thread where it is large, whoever sent it.

Parsing holds the interpreter's lock for milliseconds at a time. Against one such thread the event loop gets the lock back after
that; against several it may have to wait for each of them in turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

_LARGE = 64 * 1024
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="parsing")

D = TypeVar("D", str, bytes, str | bytes)
P = ParamSpec("P")
T = TypeVar("T")


async def parsed(parse: Callable[Concatenate[D, P], T], data: D, *args: P.args, **kwargs: P.kwargs) -> T:
    """`parse(data, *args, **kwargs)`. Raises what that does."""
    if len(data) <= _LARGE:
        return parse(data, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_THREAD, lambda: parse(data, *args, **kwargs))
