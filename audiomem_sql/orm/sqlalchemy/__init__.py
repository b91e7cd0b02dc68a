"""SQLAlchemy's dialect, and the implementation of Alembic's operations for it."""
