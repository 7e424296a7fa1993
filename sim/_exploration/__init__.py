"""Explorations: `explore`, its loop over the runs of a scenario, and the repetition and shrinking of failing
runs."""
