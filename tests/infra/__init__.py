"""Proofs about infra/ that need no Azure: over the syntax tree of every Bicep file."""
