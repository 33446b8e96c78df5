"""Imported by the process that engines are forked from: which vector instructions compiled layers may use, found out once.

torch loads a library for each kind in another process, which takes an engine that is replaced as long as all the rest of its start.
"""

from __future__ import annotations

from contextlib import suppress

from torch._inductor import cpu_vec_isa
from vllm.platforms import current_platform

from model.lm.engine_options import missing_compiler

with suppress(Exception):  # it is told where layers are compiled
    if current_platform.is_cpu() and not missing_compiler():
        cpu_vec_isa.valid_vec_isa_list()
