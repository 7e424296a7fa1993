"""The peers: other libraries for servers and actors, measured by `benchmarks.bench_peers`.

One module a peer. Their requirements contradict each other, so each lives in an environment of its own
(`environments`) and is measured in a process of its own (`serve`), which is idle between two measurements.

Ours takes part in the same way, and so does Trio written by hand: every column runs on one interpreter.
"""
