"""The numerical core of the default strategy: a Gaussian process over any search space.

Configurations are rows of numbers (`encoding`), a regression over them (`surrogate`) says where
improvement is likely (`acquisition`), and the best place is found among candidates (`candidates`).
`proposal.propose` is the entry point. Only numpy and scipy; neither Optuna nor files.
"""
