"""Where documents come from: folders, and files that people drop."""
