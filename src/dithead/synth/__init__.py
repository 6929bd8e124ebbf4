"""Synthetic people who speak, with exact mouth truth. Import the submodules; this file stays light."""
