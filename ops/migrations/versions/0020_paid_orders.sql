-- Lists by the time of payment. An order that waits for its payment is not in the index: placing it
-- costs nothing. It is there already when `tidegate migrate` could build it beside the running
-- gateways (online/); an empty database has it built here.
CREATE INDEX IF NOT EXISTS orders_paid
    ON orders (paid_at DESC, id DESC) WHERE paid_at IS NOT NULL;
