"""The run log: ended runs, their changes and their rejections as Parquet files in the customer's own storage."""
