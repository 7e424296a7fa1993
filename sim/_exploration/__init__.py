"""Run after run of one scenario: `explore`, the loop it ends in, and what comes of a failing run."""
