"""Text as it is said: markup, symbols, numbers and abbreviations become the words that a model was trained to read."""
