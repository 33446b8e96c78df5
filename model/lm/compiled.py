"""Layers that torch has compiled, kept from one start of an engine to the next."""

from __future__ import annotations

import functools
from typing import Any


def load_what_was_kept() -> None:
    """Have vLLM load, in this process, what it compiled on a CPU and wrote to its cache.

    It asks for `finalize_loading`, which only functions of its own GPU backend have. Without that it takes the cache for
    damaged, and traces the layers anew at each start.
    """
    import torch

    load = torch.compiler.load_compiled_function

    @functools.wraps(load)
    def load_and_finish(*arguments: Any, **options: Any) -> Any:
        loaded = load(*arguments, **options)
        function = loaded._artifacts.compiled_fn
        if not hasattr(function, "finalize_loading"):
            function.finalize_loading = _nothing_to_finish
        return loaded

    torch.compiler.load_compiled_function = load_and_finish


def _nothing_to_finish(config: object) -> None:
    pass
