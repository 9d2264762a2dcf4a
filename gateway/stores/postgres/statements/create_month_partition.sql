-- Create the partition of one month of a table. The caller formats names of a closed list and
-- whole numbers into it: DDL takes no parameters.
CREATE TABLE IF NOT EXISTS {table}_{year:04d}_{month:02d} PARTITION OF {table}
    FOR VALUES FROM ('{year:04d}-{month:02d}-01 00:00:00+00') TO ('{next_year:04d}-{next_month:02d}-01 00:00:00+00')
