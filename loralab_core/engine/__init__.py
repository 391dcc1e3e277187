"""The engine: one process that holds a base model, trains on it and answers from it at the same time."""
