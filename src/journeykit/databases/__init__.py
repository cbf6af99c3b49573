"""Databases that logs come from and answers go to: DuckDB, PostgreSQL and SQLite, and the files of Tableau."""
