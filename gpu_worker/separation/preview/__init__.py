"""A small separation network for where htdemucs' weights cannot be had, and all that it takes to train it."""
