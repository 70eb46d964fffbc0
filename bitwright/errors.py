"""Every error bitwright raises on purpose, each one sentence with the node and the remedy."""


class CompileError(Exception):
    """The model, the data or the options cannot be compiled; the message says which and why."""


class UnsupportedError(CompileError):
    """A valid model uses something that bitwright does not handle yet."""


class MissingToolError(CompileError):
    """A program or package is missing; the message gives the line that installs it."""


class VerifyError(CompileError):
    """The IR broke one of its own rules: a bug in bitwright, in the pass that is named."""
