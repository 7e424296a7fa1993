"""What a program has around it: time, randomness, threads and logs, each a function of the run."""
