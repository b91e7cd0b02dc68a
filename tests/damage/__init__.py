"""Damage in every size and shape, and what is left of the rows: run whole by ``make damage``, in part by the suite."""
