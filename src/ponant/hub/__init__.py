"""Models on disk: what is there, the ones that come with Ponant, and how others get here."""

from ponant.hub.catalogue import Catalogue
from ponant.hub.install import install_bundled
from ponant.hub.manifest import InstalledModel, Manifest

__all__ = ["Catalogue", "InstalledModel", "Manifest", "install_bundled"]
