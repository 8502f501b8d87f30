//! The memory: assets, places, findings, alerts, kept in SQLite or PostgreSQL.
