"""Each embedding engine under measurement, in a process and an environment of its own."""
