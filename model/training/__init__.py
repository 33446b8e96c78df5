"""The training recipe: text to units, speech synthesis by a teacher, tokenizer, language model and vocoder."""
