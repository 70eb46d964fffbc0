from tests.end_to_end.commands import run

__all__ = ["run"]
