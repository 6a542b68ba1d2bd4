"""The laptop cloud: what Azure is replaced by on one machine. Nothing outside tests imports it."""
