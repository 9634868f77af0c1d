"""The tables of each database as numbered steps; `Database.migrate` runs them."""
