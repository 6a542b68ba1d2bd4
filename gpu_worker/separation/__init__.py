"""Source separation: models, and the engine that applies them in constant memory."""
