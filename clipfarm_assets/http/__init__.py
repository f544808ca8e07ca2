"""The HTTP API: a FastAPI app that reads the store and the database, and asks for runs. It knows nothing of Dagster."""
