//! What the programs share towards the machine.
