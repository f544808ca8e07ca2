"""What Alembic runs: the migrations, on the connection that ``migrate`` gives, in its transaction."""

from alembic import context

from clipfarm_assets.database import clip_tables, discovery_tables, measurements  # noqa: F401 - they declare their tables
from clipfarm_assets.database.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,  # SQLite too: `connect` begins transactions itself
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
