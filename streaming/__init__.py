"""The pure core: audio, endpointing, parsing, planning, the realtime protocol, sessions and turns.

Imports neither torch nor vllm nor fastapi. Everything with weights arrives through the Protocols of `streaming.stages`.
"""
