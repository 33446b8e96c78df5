"""The supervised semantic tokenizer of CosyVoice at 25 Hz (arXiv 2407.05407 section 2.1): speech to units of cslm-8b."""
