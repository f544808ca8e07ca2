"""What Alembic runs: the migrations, on the connection that ``migrate`` gives, in its transaction."""

from alembic import context

import clipfarm_assets.database.clip_tables  # noqa: F401 - declares its tables
from clipfarm_assets.database import discovery_tables  # noqa: F401  # its tables are declared by that
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
