"""Bytes to PCM and PCM to bytes, without HTTP."""
