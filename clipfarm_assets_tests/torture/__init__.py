"""Proves that kill -9 loses nothing and does nothing twice: ``python -m clipfarm_assets_tests.torture``.

Each scenario works in a deployment of its own, with real files, the real command line and the real Dagster daemon,
kills them at random moments, and audits what is left after each: the ledger as the product reads it in a fresh
process, and, read without the product, the store's files and Dagster's databases.
"""
