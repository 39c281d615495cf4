"""Result rows: their schema, where they lie, and how many files become one table with a certificate."""
