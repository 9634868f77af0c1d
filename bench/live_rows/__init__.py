"""The rows of the table of live knowledge, measure by measure."""
