"""The packages of this repository at work: a demonstration, and scenarios for the simulator.

`sim list` shows the scenarios of the to-do system, `sim list examples.planted.waiting` those of that module.
A scenario is any async function without required arguments.
"""
