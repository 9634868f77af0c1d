"""Standing queries: searches that are kept, and matched in reverse when passages change."""
