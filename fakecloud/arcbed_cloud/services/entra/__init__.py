"""Entra ID: the directory of who exists, and the tokens that say who calls."""

from arcbed_cloud.services.entra.directory import Directory, Principal
from arcbed_cloud.services.entra.tokens import ARM_AUDIENCES, TokenError, Tokens

__all__ = ["ARM_AUDIENCES", "Directory", "Principal", "TokenError", "Tokens"]
