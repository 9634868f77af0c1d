"""One module a step, in a linear chain."""
