"""What the stages share at their edges: parameters, files, the console."""
