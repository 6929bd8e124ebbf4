"""Skins of synthetic people: painted, or made from pictures of real people."""
