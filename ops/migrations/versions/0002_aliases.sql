-- Ids that were given out while the ledger could not be asked, for an order that it knew already
-- under another. An alias is never the id of an order of its own.

CREATE TABLE order_aliases (
    alias      uuid PRIMARY KEY,
    order_id   uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
