"""What the rows of live knowledge are measured on."""
