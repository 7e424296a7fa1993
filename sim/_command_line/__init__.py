"""What the command `sim` is made of: `sim.cli` reads the arguments."""
