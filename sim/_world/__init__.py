"""The surroundings of a program: time, randomness, threads and logs, each a function of the run."""
