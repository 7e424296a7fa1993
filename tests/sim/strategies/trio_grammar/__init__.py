"""Random Trio programs in which tasks meet in whatever Trio has: a statement for each thing that one task can
do and another can see.

`programs.generated` makes a program; the modules besides hold the statements, by what they are about.
"""
