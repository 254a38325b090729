"""The version of the installed program."""

from importlib.metadata import version

__all__ = ["VERSION"]

VERSION = version("callslip")
