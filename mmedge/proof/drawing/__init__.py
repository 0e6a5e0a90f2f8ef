"""What proofs and their reports are drawn with: SVG and HTML as text, and axes."""
