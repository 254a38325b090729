"""REST over a service: translates, and does nothing else. The only place that knows FastAPI."""
