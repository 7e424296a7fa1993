"""Which steps depend on each other: what they touch, of Trio's objects, of servers, of `sim.Shared`."""
