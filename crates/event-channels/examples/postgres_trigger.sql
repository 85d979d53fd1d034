-- An outbox without a line in the application: each stored order becomes an event, in the
-- transaction that stores it.
CREATE TABLE orders (
    id       bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer text    NOT NULL,
    total    numeric NOT NULL
);

CREATE FUNCTION publish_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM sqlspec_event_queue_publish('orders', to_json(NEW));
    RETURN NEW;
END
$$;

CREATE TRIGGER publish_order AFTER INSERT ON orders
    FOR EACH ROW EXECUTE FUNCTION publish_order();
