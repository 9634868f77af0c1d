"""Files that people upload for later use, and the vector stores that they are put into."""

from ponant.files.service import Files, StoredFile
from ponant.files.stores import Attached, Batch, Shelf, Shelves

__all__ = ["Attached", "Batch", "Files", "Shelf", "Shelves", "StoredFile"]
