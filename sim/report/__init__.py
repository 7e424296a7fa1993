"""Ways to show a failing run to a human."""

from sim.report._terminal import describe_failure, describe_result

__all__ = ["describe_failure", "describe_result"]
