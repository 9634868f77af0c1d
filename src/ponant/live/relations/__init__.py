"""Live tables: rows kept in step with their sources, and asked in SQL."""
