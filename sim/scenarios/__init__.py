"""Ready-made scenarios, a module for each part of the to-do system that they are about.

A scenario is any async function without required arguments. `sim list` shows those of a module:
the public ones defined in it, with the first line of their documentation.
"""
