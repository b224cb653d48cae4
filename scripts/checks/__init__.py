"""What `scripts/check` looks at, one module a check.

A check is a function that takes the project's root and yields findings: one line each, which says where and what. It
reads only the tree that it is given, so the tests can break a copy and look at the line.
"""
