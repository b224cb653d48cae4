"""Decisions of the operator as functions of values: what to make, which port, how many, who goes. No I/O, no clock."""
