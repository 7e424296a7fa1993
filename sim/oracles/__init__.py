"""Oracles tell a right run from a wrong one, beyond the scenario's own assertions."""
