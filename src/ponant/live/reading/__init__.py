"""Files to text to passages."""
