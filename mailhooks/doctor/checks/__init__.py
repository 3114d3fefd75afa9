"""What is judged: one file per area, each a row of small functions from facts to findings, and nothing is asked here.

A file offers ``AREA``, its name for people, and ``CHECKS``, the worst first.
"""
