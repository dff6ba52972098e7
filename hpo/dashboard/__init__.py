"""Optuna's dashboard for a storage, with what it lacks to be shown to others.

A login, a list of hosts, no writing unless asked for, headers, and beside it each study's report.
"""
