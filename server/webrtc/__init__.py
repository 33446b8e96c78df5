"""WebRTC calls: everything that imports aiortc."""
