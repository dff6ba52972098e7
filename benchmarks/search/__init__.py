"""Searches compared: strategies of ours and of others, on landscapes and on recorded fine-tunings.

`python -m benchmarks.search`; `benchmarks/README.md` says how to read what it prints.
"""
