"""Everything with weights: bundles, the unit encoder, language-model backends, the vocoder and the training recipe."""
