"""Retrieval: galleries of embeddings, filled from files and searched with any modality."""

from __future__ import annotations

from mmedge.runtime.retrieval.gallery import Gallery, check_place, open_gallery, save_gallery
from mmedge.runtime.retrieval.items import Item, read_items, read_query
from mmedge.runtime.retrieval.search import Hit, build_gallery, search

__all__ = [
    "Gallery",
    "Hit",
    "Item",
    "build_gallery",
    "check_place",
    "open_gallery",
    "read_items",
    "read_query",
    "save_gallery",
    "search",
]
