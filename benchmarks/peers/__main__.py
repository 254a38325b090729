"""Which peers are there: `python -m benchmarks.peers`."""

from benchmarks.peers import peer_commands

print(f"peers: {'; '.join(peer_commands('', 'legacy'))}")
