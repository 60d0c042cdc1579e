"""The state of N agents: variables, what a method keeps, steps and checkpoints."""
