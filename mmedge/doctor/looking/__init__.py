"""What is looked at, one file per subject: files, devices and packages in, frozen facts out.

Nothing is changed, nothing heavy is imported in this process, and what is not there is a fact.
"""

from __future__ import annotations

__all__: list[str] = []
