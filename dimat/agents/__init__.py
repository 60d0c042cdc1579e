"""The training of many agents: fleet, schedule, evaluation, checkpoints and the driver around them."""
