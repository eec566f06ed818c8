"""Pure computations: arrays in, arrays out. Nothing here reads or writes a file."""
