"""Everything with weights: bundles, encoders, language-model backends, vocoders, training and evaluation."""
