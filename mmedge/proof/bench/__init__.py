"""Bench: how fast each backend and plan of a bundle is on this machine, and which to take."""

from __future__ import annotations

from mmedge.proof.bench.config import BenchConfig
from mmedge.proof.bench.first import first_run
from mmedge.proof.bench.found import Bench, Row
from mmedge.proof.bench.running import bench_bundle

__all__ = ["Bench", "BenchConfig", "Row", "bench_bundle", "first_run"]
