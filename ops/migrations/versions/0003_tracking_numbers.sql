-- Couriers tell of a parcel by its number alone. Partial: an order that is not shipped costs nothing.

CREATE INDEX orders_tracking_no ON orders (tracking_no) WHERE tracking_no IS NOT NULL;
