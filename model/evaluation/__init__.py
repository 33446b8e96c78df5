"""Measures how good a bundle is: the tables of arXiv 2604.11096 and a few more, through the stages alone, for any bundle.

`sets` reads what is asked and read aloud. `scores` compares texts. `judge` is the independent recognizer. `run` keeps results,
so that an interrupted run resumes. `report` prints. `python -m model.evaluation.make` makes the held-out sets of cslm-mini, and
`cslm eval` runs everything.
"""
