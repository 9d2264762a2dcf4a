-- Place a batch of orders: all their rows or none, one statement, one round trip.
--
-- Afterwards: the position of a row is returned exactly if this statement stored its order. A row
-- that matches a stored order (same channel and order number, same request id, of test orders or
-- of live ones, or a live fingerprint) or an alias is not returned and stores no order; the caller
-- looks it up with `find_matches`.
-- A row with is_judged = true was judged already: it is stored even beside a live fingerprint.
-- $3 says of each such row which order it looks like; null where none of the batch does.
--
-- Rows must arrive sorted by fingerprint and without a duplicate key, or batches could deadlock;
-- for the same reason orders are inserted in the order of their numbers.
-- The windows use the database's clock, so that no gateway's clock can stretch them. A late batch
-- ($2) is judged by when each row was received: orders that came minutes apart are not
-- simultaneous because they are stored in one batch. Postgres was unavailable then, so the
-- gateway's clock is the only one there is; a time in the future counts as now, so that no window
-- ends later than a live one would.
-- A row with a nothing_due_id is of an order of 0.00: it is stored as paid, and the step that this
-- is in its history, and its outbox row, have that id.
-- Velocity: the fourth order of one buyer with the same goods within five minutes is held. Where it
-- looks like another order as well, velocity is the graver reason; the history says both.
-- Screening: what stands between `-- screening {` and `-- }` is left out of the statement where no
-- rule says anything of the batch. $4 to $7 have what the rules found of its rows: positions, holds,
-- documents, and words for the history. $8 to $11 have the purchases that rules limit: positions,
-- counts (keys), pieces, and by which limit of $12 to $16: orders and pieces at most, seconds, hold,
-- finding. Each is counted under the lock of its count, so that of two simultaneous orders one is
-- over the limit. A key stands once in a batch.
WITH input AS MATERIALIZED (
    SELECT *,
           CASE WHEN $2::bool THEN least(received_at, now()) ELSE now() END AS judged_at,
           -- Looked up before it is counted. From the history, where only one index fits, and
           -- with a limit: a generic plan made while the tables are empty would otherwise scan
           -- them when they are full. The history has the numbers of aliases too.
           (
               SELECT true FROM order_events e
                WHERE e.source = s.source AND e.source_key = t.order_no
                LIMIT 1
           ) IS NOT NULL
           OR t.request_id IS NOT NULL AND (
               SELECT true FROM order_no_aliases a
                WHERE a.channel = t.channel AND a.request_id = t.request_id
                  AND a.is_test = t.is_test
                LIMIT 1
           ) IS NOT NULL AS is_taken
      FROM unnest($1::placement_row_2[]) WITH ORDINALITY AS t (
               id, channel, order_no, request_id, payload_digest, lookalike,
               same_goods, is_test, currency, goods, shop_discount, platform_subsidy,
               freight, payable, buyer_id, country, province, city,
               district, phone_index, items, private, raw,
               placed_at, received_at, trigger, hold, is_judged, stock_check,
               tax, tax_included, nothing_due_id, platform_state,
               unpaid_timeout_s, n
           )
           -- Test orders have order numbers of their own: see `placing.source`.
           CROSS JOIN LATERAL (
               SELECT CASE WHEN is_test THEN 'placed-test:' ELSE 'placed:' END || channel AS source
           ) s
), claimed AS (
    INSERT INTO fingerprints AS f (lookalike, order_id, expires_at)
    SELECT lookalike, id, judged_at + interval '10 minutes' FROM input WHERE NOT is_taken
        ON CONFLICT (lookalike) DO UPDATE
       SET order_id = excluded.order_id, expires_at = excluded.expires_at
     WHERE f.expires_at <= excluded.expires_at - interval '10 minutes'
    RETURNING f.order_id
), entitled AS (
    SELECT i.*
      FROM input i
     WHERE i.is_judged OR i.id IN (SELECT order_id FROM claimed)
), counted AS (
    -- The last four times of one buyer with the same goods; a full window holds the fourth.
    -- Late ones are merged into up to sixteen, as later orders may have been counted before them.
    INSERT INTO velocity AS v (same_goods, recent)
    SELECT same_goods, ARRAY[judged_at] FROM entitled ORDER BY same_goods
        ON CONFLICT (same_goods) DO UPDATE
       SET recent = CASE
               WHEN $2 THEN ARRAY(
                   SELECT l.at
                     FROM (
                              SELECT at FROM unnest(v.recent || excluded.recent) AS t (at)
                               ORDER BY at DESC
                               LIMIT 16
                          ) l
                    ORDER BY l.at
               )
               ELSE (v.recent || excluded.recent)[greatest(1, cardinality(v.recent) - 2):]
           END
    RETURNING same_goods, recent
-- screening {
), screened AS (
    SELECT n, hold, document::jsonb AS document, said
      FROM unnest($4::int[], $5::text[], $6::text[], $7::text[]) AS t (n, hold, document, said)
), limited AS (
    SELECT l.n, l.key, l.pieces, e.judged_at,
           ($12::int[])[l.which] AS orders_max,
           ($13::int[])[l.which] AS pieces_max,
           ($14::int[])[l.which] * interval '1 second' AS within,
           ($15::text[])[l.which] AS hold,
           l.which
      FROM unnest($8::int[], $9::bytea[], $10::int[], $11::int[]) AS l (n, key, pieces, which)
      JOIN entitled e ON e.n = l.n
), purchased AS (
    -- As many purchases are kept as tell whether a full window holds one more.
    INSERT INTO purchases AS p (key, kept, recent, expires_at)
    SELECT key, 1 + greatest(orders_max, pieces_max), ARRAY[ROW(judged_at, pieces)::purchase],
           judged_at + within
      FROM limited
           -- After all velocity counts: every batch takes the locks of one table after the other.
     WHERE (SELECT count(*) FROM counted) IS NOT NULL
     ORDER BY key
        ON CONFLICT (key) DO UPDATE
       SET kept = excluded.kept,
           expires_at = greatest(p.expires_at, excluded.expires_at),
           recent = CASE
               WHEN $2 THEN ARRAY(
                   SELECT ROW(l.at, l.pieces)::purchase
                     FROM (
                              SELECT at, pieces FROM unnest(p.recent || excluded.recent)
                               ORDER BY at DESC
                               LIMIT 4 * excluded.kept
                          ) l
                    ORDER BY l.at
               )
               ELSE (p.recent || excluded.recent)[
                   greatest(1, cardinality(p.recent) + 2 - excluded.kept):
               ]
           END
    RETURNING key, recent
), exceeded AS (
    -- Over the limit: within any window that holds this purchase. Late ones are merged among those
    -- that were stored before them.
    SELECT l.n,
           min(l.hold) AS hold,  -- 'screened' before 'screened_note'
           jsonb_agg(
               f.finding || jsonb_build_object(
                   'values', f.finding -> 'values'
                             || jsonb_build_object('orders', w.orders, 'pieces', w.pieces)
               )
               ORDER BY l.which
           ) AS findings,
           string_agg(
               CASE
                   WHEN l.hold IS NOT NULL THEN 'screened by ' || (f.finding ->> 'rule')
                   ELSE (f.finding ->> 'rule') || ' released by ' || (f.finding ->> 'released_by')
               END,
               '; ' ORDER BY l.which
           ) AS said
      FROM limited l
      JOIN purchased p ON p.key = l.key
           -- Of most buyers it is the first purchase: nothing to add up.
           AND (cardinality(p.recent) > 1 OR l.pieces > l.pieces_max)
           CROSS JOIN LATERAL (
               SELECT max(s.orders) AS orders, max(s.pieces) AS pieces
                 FROM (
                          SELECT at,
                                 count(*) OVER within AS orders,
                                 sum(pieces) OVER within AS pieces
                            FROM unnest(p.recent)
                          WINDOW within AS (
                              ORDER BY at RANGE BETWEEN CURRENT ROW
                                   AND l.within - interval '1 microsecond' FOLLOWING
                          )
                      ) s
                WHERE s.at <= l.judged_at AND s.at > l.judged_at - l.within
           ) w
           CROSS JOIN LATERAL (SELECT ($16::text[])[l.which]::jsonb AS finding) f
     WHERE w.orders > l.orders_max OR w.pieces > l.pieces_max
     GROUP BY l.n
-- }
), placed AS (
    INSERT INTO orders (
        id, channel, order_no, request_id, payload_digest, lookalike, placed_hold, hold, is_test,
        currency, goods, shop_discount, platform_subsidy, freight, payable, buyer_id, country,
        province, city, district, phone_index, items, private, placed_at, received_at, updated_at,
        stock_check, tax, tax_included, status, version, paid_at, platform_state
-- screening {
        , screening
-- }
    )
    SELECT i.id, i.channel, i.order_no, i.request_id, i.payload_digest, i.lookalike,
           h.hold, h.hold, i.is_test, i.currency, i.goods::numeric, i.shop_discount::numeric,
           i.platform_subsidy::numeric, i.freight::numeric, i.payable::numeric, i.buyer_id,
           i.country, i.province, i.city, i.district, i.phone_index, i.items::jsonb, i.private,
           i.placed_at, i.received_at, i.received_at, i.stock_check, i.tax::numeric, i.tax_included,
           CASE WHEN i.nothing_due_id IS NULL THEN 'pending_payment' ELSE 'paid' END,
           CASE WHEN i.nothing_due_id IS NULL THEN 1 ELSE 2 END,
           CASE WHEN i.nothing_due_id IS NOT NULL THEN i.placed_at END, i.platform_state
-- screening {
           , CASE
                 WHEN x.findings IS NULL THEN r.document
                 ELSE coalesce(r.document, '{}') || jsonb_build_object(
                     'findings', coalesce(r.document -> 'findings', '[]') || x.findings
                 )
             END
-- }
      FROM entitled i
      JOIN counted c ON c.same_goods = i.same_goods
-- screening {
           LEFT JOIN screened r ON r.n = i.n
           LEFT JOIN exceeded x ON x.n = i.n
-- }
           CROSS JOIN LATERAL (
               SELECT CASE
                          WHEN $2 THEN EXISTS (
                              -- Four within any five minutes that include this one.
                              SELECT FROM generate_subscripts(c.recent, 1) AS s (first)
                               WHERE i.judged_at BETWEEN c.recent[first] AND c.recent[first + 3]
                                 AND c.recent[first] > c.recent[first + 3] - interval '5 minutes'
                          )
                          ELSE cardinality(c.recent) = 4
                               AND c.recent[1] > now() - interval '5 minutes'
                      END AS is_brushing
           ) b
           CROSS JOIN LATERAL (
               SELECT CASE
                          WHEN b.is_brushing THEN 'suspected_brushing'
-- screening {
                          WHEN 'screened' IN (r.hold, x.hold) THEN 'screened'
                          WHEN i.hold IS NULL THEN coalesce(r.hold, x.hold)
-- }
                          ELSE i.hold
                      END AS hold
           ) h
     ORDER BY i.channel, i.order_no, i.is_test
        ON CONFLICT DO NOTHING
    RETURNING id, hold
), history AS (
    INSERT INTO order_events (
        id, order_id, source, source_key, action, from_status, to_status, outcome, reason, detail,
        trigger, occurred_at, received_at
    )
    SELECT i.id, i.id, i.source, i.order_no, 'placed', NULL, 'pending_payment', 'applied', p.hold,
           nullif(
               concat_ws(
                   '; ',
                   ($3::text[])[i.n],
                   CASE WHEN p.hold = 'suspected_brushing'
                        THEN 'four orders of the same goods in five minutes'
                   END
-- screening {
                   , r.said, x.said
-- }
               ),
               ''
           ),
           i.trigger, i.placed_at, i.received_at
      FROM input i
      JOIN placed p ON p.id = i.id
-- screening {
           LEFT JOIN screened r ON r.n = i.n
           LEFT JOIN exceeded x ON x.n = i.n
-- }
    UNION ALL
    SELECT i.nothing_due_id, i.id, 'nothing-due-' || i.source, i.order_no, 'payment_succeeded',
           'pending_payment', 'paid', 'applied', NULL, 'nothing is due', i.trigger, i.placed_at,
           i.received_at
      FROM input i JOIN placed p ON p.id = i.id
     WHERE i.nothing_due_id IS NOT NULL
), timed AS (
    -- From when it is stored: what was journaled in an outage keeps all of its time.
    INSERT INTO unpaid_orders (order_id, due_at)
    SELECT i.id, now() + i.unpaid_timeout_s * interval '1 second'
      FROM input i JOIN placed p ON p.id = i.id
     WHERE i.unpaid_timeout_s > 0 AND i.nothing_due_id IS NULL
), raw_stored AS (
    INSERT INTO raw_messages (id, source, body, received_at)
    SELECT i.id, i.source, i.raw, i.received_at
      FROM input i JOIN placed p ON p.id = i.id
), staged AS (
    INSERT INTO outbox (id, order_id, version, topic, priority, created_at)
    SELECT i.id, i.id, 1, 'order.placed', 5, i.received_at
      FROM input i JOIN placed p ON p.id = i.id
    UNION ALL
    -- Every hold of a placement but `screened_note` stops the hand-off: `order.paid` is staged when
    -- a person ends it.
    SELECT i.nothing_due_id, i.id, 2,
           CASE WHEN m.may_go_on THEN 'order.paid' ELSE 'order.changed' END,
           CASE WHEN m.may_go_on THEN 1 ELSE 5 END, i.received_at
      FROM input i
      JOIN placed p ON p.id = i.id
           CROSS JOIN LATERAL (SELECT coalesce(p.hold, 'screened_note') = 'screened_note') m (may_go_on)
     WHERE i.nothing_due_id IS NOT NULL
)
SELECT i.n,
       p.hold,
       EXISTS (
           SELECT FROM waiting w
            WHERE w.order_no = i.order_no AND i.channel = ANY (w.channels)
              AND w.is_test = i.is_test
       ) AS has_waiting
  FROM placed p JOIN input i ON i.id = p.id
