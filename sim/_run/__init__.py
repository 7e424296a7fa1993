"""A run is a function of its choices: the values that all other rooms use, and the errors of a run."""
