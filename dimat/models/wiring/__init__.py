"""How channels flow through a network: wires, labels that follow them, rules for operations, and groups."""
