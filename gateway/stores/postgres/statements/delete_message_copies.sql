-- Keep one row of each message, the one with the lowest id, in each range ($1[n], $2[n]) of ids.
-- The parts of a journaled message are drained by themselves, and each that is new stores it; so
-- does a part that repeats what is known under another key. Run after the commit of a part:
-- whichever of two parts comes last sees both rows.
DELETE FROM raw_messages r
 USING unnest($1::uuid[], $2::uuid[]) AS m (first, last)
 WHERE r.id BETWEEN m.first AND m.last
   AND EXISTS (SELECT FROM raw_messages k WHERE k.id >= m.first AND k.id < r.id)
