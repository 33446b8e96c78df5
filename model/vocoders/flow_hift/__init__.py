"""The vocoder of the CosyVoice family: units → durations → flow matching → HiFT, streamed in blocks on a fixed grid.

The modules keep the names of the weights that CosyVoice (arXiv 2407.05407, FunAudioLLM, Apache-2.0) releases, so that `flow.pt`
and `hift.pt` load as they are; the code is our own.
"""
