"""Results without an environment loop. Every module here is a study: a dataclass `Hyper` and `run(spec, record)`."""
