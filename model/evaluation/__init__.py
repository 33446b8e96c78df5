"""How good is a bundle? The tables of arXiv 2604.11096 and a few more, measured through the stages alone: any bundle will do.

`sets` reads what is asked and read aloud, `scores` compares texts, `judge` is the independent listener, `measures` are the
rows, `run` keeps their results so that a broken run goes on, `report` prints. `python -m model.evaluation.make` makes the
held-out sets of cslm-mini; `cslm eval` runs it all.
"""
