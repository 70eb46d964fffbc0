"""The zoo is written in torch, which comes with the extra `train` alone."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]
