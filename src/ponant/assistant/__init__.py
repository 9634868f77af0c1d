"""Conversations, and answers that cite what they rest on."""
