"""Continue a text model of others as a speech language model (arXiv 2604.11096, section 3): vocabulary, documents, adapters, training."""
