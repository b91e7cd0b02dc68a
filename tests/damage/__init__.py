"""Damage in every size and shape, and what is left of the rows.

``make damage`` runs all of it, the suite a part.
"""
