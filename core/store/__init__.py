"""Storage: tables, migrations, and one small module per thing stored."""
