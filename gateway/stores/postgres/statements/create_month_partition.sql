-- Create the partition of one month of raw messages. The caller formats whole numbers into it:
-- DDL takes no parameters.
CREATE TABLE IF NOT EXISTS raw_messages_{year:04d}_{month:02d} PARTITION OF raw_messages
    FOR VALUES FROM ('{year:04d}-{month:02d}-01 00:00:00+00') TO ('{next_year:04d}-{next_month:02d}-01 00:00:00+00')
