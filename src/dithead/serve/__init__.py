"""Serves generation: a web page, a REST API, and a durable queue whose workers may run on many machines."""
