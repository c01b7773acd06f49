"""Tokens, origins, rate limits and admission."""
